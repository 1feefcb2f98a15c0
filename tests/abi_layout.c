/* Sizes and places of all that is handed over by address, line by line; with a file, compares them with it. docs/abi.md says
 * what may change. xtask/tests/abi.rs looks that no struct is missing. */
#include "Ql_iotApi.h"
#include "quecota.h"

#include <stdio.h>
#include <string.h>

static FILE *known;
static int wrong;

static void line(const char *text)
{
    char expected[160];
    if (known == NULL) {
        puts(text);
        return;
    }
    if (fgets(expected, sizeof expected, known) == NULL) expected[0] = 0;
    expected[strcspn(expected, "\n")] = 0;
    if (strcmp(expected, text) != 0) {
        printf("was: %s\nis:  %s\n", expected, text);
        wrong = 1;
    }
}

#define STRUCT(type)                                                                                                  \
    do {                                                                                                              \
        char text[160];                                                                                               \
        snprintf(text, sizeof text, "%s: %u", #type, (unsigned)sizeof(type));                                         \
        line(text);                                                                                                   \
    } while (0)
#define MEMBER(type, member)                                                                                          \
    do {                                                                                                              \
        char text[160];                                                                                               \
        snprintf(text, sizeof text, "  %s at %u: %u", #member, (unsigned)offsetof(type, member),                      \
                 (unsigned)sizeof(((type *)0)->member));                                                              \
        line(text);                                                                                                   \
    } while (0)

int main(int argc, char *argv[])
{
    if (argc > 1) {
        known = fopen(argv[1], "r");
        if (known == NULL) return 2;
    }
    STRUCT(quecota_config_t);
    MEMBER(quecota_config_t, size);
    MEMBER(quecota_config_t, dialect);
    MEMBER(quecota_config_t, receive);
    MEMBER(quecota_config_t, receive_size);
    MEMBER(quecota_config_t, event);
    MEMBER(quecota_config_t, event_ctx);
    MEMBER(quecota_config_t, resume);
    STRUCT(quecota_connect_t);
    MEMBER(quecota_connect_t, url);
    MEMBER(quecota_connect_t, client_id);
    MEMBER(quecota_connect_t, user_name);
    MEMBER(quecota_connect_t, password);
    MEMBER(quecota_connect_t, keep_alive);
    STRUCT(quecota_transport_t);
    MEMBER(quecota_transport_t, size);
    MEMBER(quecota_transport_t, ctx);
    MEMBER(quecota_transport_t, connect);
    MEMBER(quecota_transport_t, disconnect);
    MEMBER(quecota_transport_t, subscribe);
    MEMBER(quecota_transport_t, publish);
    MEMBER(quecota_transport_t, fetch);
    MEMBER(quecota_transport_t, fetch_cancel);
    STRUCT(quecota_area_t);
    MEMBER(quecota_area_t, size);
    MEMBER(quecota_area_t, erase);
    MEMBER(quecota_area_t, program);
    MEMBER(quecota_area_t, erased);
    STRUCT(quecota_storage_t);
    MEMBER(quecota_storage_t, size);
    MEMBER(quecota_storage_t, ctx);
    MEMBER(quecota_storage_t, image);
    MEMBER(quecota_storage_t, journal);
    MEMBER(quecota_storage_t, read);
    MEMBER(quecota_storage_t, write);
    MEMBER(quecota_storage_t, erase);
    MEMBER(quecota_storage_t, sync);
    STRUCT(quecota_staged_file_t);
    MEMBER(quecota_staged_file_t, index);
    MEMBER(quecota_staged_file_t, offset);
    MEMBER(quecota_staged_file_t, length);
    MEMBER(quecota_staged_file_t, md5);
    STRUCT(quecota_system_t);
    MEMBER(quecota_system_t, size);
    MEMBER(quecota_system_t, ctx);
    MEMBER(quecota_system_t, millis);
    MEMBER(quecota_system_t, random);
    MEMBER(quecota_system_t, device_key);
    MEMBER(quecota_system_t, lock);
    MEMBER(quecota_system_t, unlock);
    MEMBER(quecota_system_t, wake);
    MEMBER(quecota_system_t, log);
    MEMBER(quecota_system_t, battery);
    MEMBER(quecota_system_t, voltage);
    MEMBER(quecota_system_t, signal);
    MEMBER(quecota_system_t, rsrp);
    MEMBER(quecota_system_t, free_space);
    MEMBER(quecota_system_t, module_model);
    MEMBER(quecota_system_t, module_version);
    MEMBER(quecota_system_t, apply);
    MEMBER(quecota_system_t, run);
    MEMBER(quecota_system_t, stop);
    MEMBER(quecota_system_t, apply_files);
    MEMBER(quecota_system_t, position_kinds);
    MEMBER(quecota_system_t, position);
    STRUCT(quecota_platform_t);
    MEMBER(quecota_platform_t, size);
    MEMBER(quecota_platform_t, transport);
    MEMBER(quecota_platform_t, storage);
    MEMBER(quecota_platform_t, system);
    STRUCT(quecota_fetch_head_t);
    MEMBER(quecota_fetch_head_t, size);
    MEMBER(quecota_fetch_head_t, status);
    MEMBER(quecota_fetch_head_t, first);
    MEMBER(quecota_fetch_head_t, length);
    MEMBER(quecota_fetch_head_t, total);
    MEMBER(quecota_fetch_head_t, retry_after);
    MEMBER(quecota_fetch_head_t, content_encoding);
    STRUCT(quecota_progress_t);
    MEMBER(quecota_progress_t, state);
    MEMBER(quecota_progress_t, received);
    MEMBER(quecota_progress_t, size);
    STRUCT(quecota_plan_t);
    MEMBER(quecota_plan_t, size);
    MEMBER(quecota_plan_t, battery);
    MEMBER(quecota_plan_t, signal);
    MEMBER(quecota_plan_t, space);
    MEMBER(quecota_plan_t, component);
    MEMBER(quecota_plan_t, source_version);
    MEMBER(quecota_plan_t, target_version);
    STRUCT(quecota_download_t);
    MEMBER(quecota_download_t, size);
    MEMBER(quecota_download_t, total);
    MEMBER(quecota_download_t, crc);
    MEMBER(quecota_download_t, has_sha256);
    MEMBER(quecota_download_t, md5);
    MEMBER(quecota_download_t, sha256);
    MEMBER(quecota_download_t, component);
    STRUCT(quecota_piece_t);
    MEMBER(quecota_piece_t, size);
    MEMBER(quecota_piece_t, total);
    MEMBER(quecota_piece_t, start);
    MEMBER(quecota_piece_t, length);
    MEMBER(quecota_piece_t, component);
    STRUCT(quecota_end_t);
    MEMBER(quecota_end_t, size);
    MEMBER(quecota_end_t, succeeded);
    MEMBER(quecota_end_t, failure);
    MEMBER(quecota_end_t, component);
    STRUCT(quecota_storage_fault_t);
    MEMBER(quecota_storage_fault_t, size);
    MEMBER(quecota_storage_fault_t, area);
    MEMBER(quecota_storage_fault_t, offset);
    MEMBER(quecota_storage_fault_t, expected);
    MEMBER(quecota_storage_fault_t, found);
    MEMBER(quecota_storage_fault_t, rule);
    STRUCT(quecota_memory_t);
    MEMBER(quecota_memory_t, aligned);
    MEMBER(quecota_memory_t, bytes);
    STRUCT(QIot_MBPortCfg_t);
    MEMBER(QIot_MBPortCfg_t, port);
    MEMBER(QIot_MBPortCfg_t, baudrate);
    MEMBER(QIot_MBPortCfg_t, dataBits);
    MEMBER(QIot_MBPortCfg_t, parity);
    MEMBER(QIot_MBPortCfg_t, stopBits);
    STRUCT(qbool);
    STRUCT(quint16_t);
    STRUCT(quint32_t);
    STRUCT(qint64_t);
    STRUCT(QIot_connMode_e);
    STRUCT(QIot_dpDataType_e);
    STRUCT(quecota_error_t);
    STRUCT(quecota_event_cb_t);
    if (known != NULL) {
        char more[160];
        if (fgets(more, sizeof more, known) != NULL) {
            printf("was: %s", more);
            wrong = 1;
        }
        fclose(known);
    }
    return wrong;
}
