/* An application that has TRUE, FALSE and HAL_STRLEN of its own (OWN_BEFORE, OWN_BEHIND the header) or takes ours. */
#include <string.h>

#ifdef OWN_BEFORE
#define TRUE (1)
#define FALSE (0)
#define HAL_STRLEN(text) ((unsigned)strlen(text))
#endif

#include HEADER

#ifdef OWN_BEHIND
#define TRUE (!FALSE)
#define FALSE (0)
#define HAL_STRLEN(text) ((unsigned)strlen(text))
#endif

qbool is_named(const char *name);

qbool is_named(const char *name)
{
#if defined(OWN_BEFORE) || defined(OWN_BEHIND)
    quint32_t length = 0;
    (void)name;
#else
    quint32_t length = HAL_STRLEN(name);
#endif
    if (length > 0 && Ql_iotInit() == TRUE) {
        return TRUE;
    }
    return FALSE;
}
