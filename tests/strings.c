/* The string helpers as applications use them. */
#include "Ql_iotApi.h"

#include "fake_platform.h"

int main(void)
{
    char plan[] = "\"STM32\",\"1_0_0\",\"2_0_0\",20,-100,65536";
    char empties[] = ",a,,b";
    char lines[] = "a\r\nb\r\n";
    char *words[8];

    CHECK_EQUAL(HAL_STRLEN(NULL), 0);
    CHECK_EQUAL(HAL_STRLEN(plan), sizeof plan - 1);
    CHECK_EQUAL(Quos_stringSplit(plan, HAL_STRLEN(plan), words, sizeof(words) / sizeof(words[0]), ",", FALSE), 6);
    CHECK(strcmp(words[0], "\"STM32\"") == 0);
    /* In place: applications ignore what is returned. */
    CHECK(Quos_stringRemoveMarks(words[0]) == words[0]);
    CHECK(strcmp(words[0], "STM32") == 0);
    CHECK(strcmp(words[5], "65536") == 0);

    CHECK_EQUAL(Quos_stringSplit(empties, HAL_STRLEN(empties), words, 8, ",", TRUE), 4);
    CHECK(words[0][0] == 0 && strcmp(words[1], "a") == 0 && words[2][0] == 0 && strcmp(words[3], "b") == 0);

    /* No empty word stands behind a delimiter at the end, and all of a delimiter becomes NUL. */
    CHECK_EQUAL(Quos_stringSplit(lines, HAL_STRLEN(lines), words, 8, "\r\n", TRUE), 2);
    CHECK(memcmp(lines, "a\0\0b\0\0", sizeof lines) == 0);
    CHECK_EQUAL(Quos_stringSplit(empties, 0, words, 8, ",", TRUE), 0);

    CHECK_EQUAL(Quos_stringSplit(NULL, 3, words, 8, ",", FALSE), 0);
    CHECK_EQUAL(Quos_stringSplit(plan, 3, NULL, 8, ",", FALSE), 0);
    CHECK_EQUAL(Quos_stringSplit(plan, 3, words, 8, NULL, FALSE), 0);
    CHECK_EQUAL(Quos_stringSplit(plan, 3, words, 8, "", FALSE), 0);
    CHECK(Quos_stringRemoveMarks(NULL) == NULL);
    puts("strings: passed");
    return 0;
}
