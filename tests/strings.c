/* The string helpers as applications use them. */
#include "Ql_iotApi.h"

#include "fake_platform.h"

int main(void)
{
    char plan[] = "\"STM32\",\"1_0_0\",\"2_0_0\",20,-100,65536";
    char empties[] = ",a,,b";
    char *words[8];

    CHECK_EQUAL(HAL_STRLEN(NULL), 0);
    CHECK_EQUAL(HAL_STRLEN(plan), sizeof plan - 1);
    CHECK_EQUAL(Quos_stringSplit(plan, HAL_STRLEN(plan), words, sizeof(words) / sizeof(words[0]), ",", FALSE), 6);
    CHECK(strcmp(words[0], "\"STM32\"") == 0);
    CHECK(strcmp(Quos_stringRemoveMarks(words[0]), "STM32") == 0);
    CHECK(strcmp(words[5], "65536") == 0);

    CHECK_EQUAL(Quos_stringSplit(empties, HAL_STRLEN(empties), words, 8, ",", TRUE), 4);
    CHECK(words[0][0] == 0 && strcmp(words[1], "a") == 0 && words[2][0] == 0 && strcmp(words[3], "b") == 0);

    CHECK_EQUAL(Quos_stringSplit(NULL, 3, words, 8, ",", FALSE), 0);
    CHECK_EQUAL(Quos_stringSplit(plan, 3, NULL, 8, ",", FALSE), 0);
    CHECK_EQUAL(Quos_stringSplit(plan, 3, words, 8, NULL, FALSE), 0);
    CHECK_EQUAL(Quos_stringSplit(plan, 3, words, 8, "", FALSE), 0);
    CHECK(Quos_stringRemoveMarks(NULL) == NULL);
    puts("strings: passed");
    return 0;
}
