/* Compiled behind each header: what the binary interface rests on. */
#ifdef QUECOTA_H
typedef char error_is_4_bytes[sizeof(quecota_error_t) == 4 ? 1 : -1];
typedef char event_is_4_bytes[sizeof(quecota_event_t) == 4 ? 1 : -1];
typedef char memory_is_enough[sizeof(quecota_memory_t) >= QUECOTA_SIZE ? 1 : -1];
#else
typedef char state_is_4_bytes[sizeof(QIot_state_e) == 4 ? 1 : -1];
typedef char mode_is_4_bytes[sizeof(QIot_connMode_e) == 4 ? 1 : -1];
typedef char qbool_is_1_byte[sizeof(qbool) == 1 ? 1 : -1];
typedef char quint32_is_4_bytes[sizeof(quint32_t) == 4 ? 1 : -1];
typedef char quint64_is_8_bytes[sizeof(quint64_t) == 8 ? 1 : -1];
#ifdef __GNUC__
/* Pointers to it are pointers to long long, as with the vendor's headers: in C++ no other type will do. */
#pragma GCC diagnostic ignored "-Wlong-long"
long long *qint64_is_long_long(qint64_t *number);
long long *qint64_is_long_long(qint64_t *number) { return number; }
#endif
#endif
