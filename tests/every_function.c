/* Every function and value of the public API of the QuecThing device SDK: declared with its type, and in the archive. */
#ifdef WITH_QTHSDK
#include "ql_api_qthsdk.h"
#define IN_2_9(...)
#define FORBIDDEN 10477
#define UNAUTH 10
#define INFO_MAX 19
#else
#include "Ql_iotApi.h"
#define IN_2_9(...) __VA_ARGS__
#define FORBIDDEN 10431
#define UNAUTH 9
#define INFO_MAX 15
#endif

#include "fake_platform.h"

static fake_platform_t fake;

const quecota_platform_t *quecota_default_platform(void)
{
    return &fake.platform;
}

typedef void (*function_t)(void);

#define CHECK_VALUE(name, value) CHECK_EQUAL(name, value)

static void every_value(void)
{
    CHECK_VALUE(QIOT_ATECENT_TYPE_DATACOLL, 30);
    CHECK_VALUE(QIOT_AUTH_ERR_DMP_STATIC_DEV, 10421);
    CHECK_VALUE(QIOT_CONN_SUBDEV_ERR_ALREADY, 10441);
    CHECK_VALUE(QIOT_DATA_COLL_CLOSE, 20);
    CHECK_VALUE(QIOT_DATA_COLL_DELAYTIME, 2);
    CHECK_VALUE(QIOT_DATA_COLL_DISENBLE, 12);
    CHECK_VALUE(QIOT_DATA_COLL_CONN_FAIL, 10);
    CHECK_VALUE(QIOT_DATA_COLL_CONN_RETRY, 13);
    CHECK_VALUE(QIOT_DATA_COLL_SEND_FAIL, 1);
    CHECK_VALUE(QIOT_DATA_COLL_SEND_RETRY, 3);
    CHECK_VALUE(QIOT_DATA_COLL_SEND_SUCCESS, 0);
    CHECK_VALUE(QIOT_DATA_COLL_TRANS_FAIL, 11);
    CHECK_VALUE(QIOT_DPAPP_LANPHONE, 4);
    CHECK_VALUE(QIOT_DPAPP_M2M, 1);
    CHECK_VALUE(QIOT_DPAPP_SUBDEV, 2);
    CHECK_VALUE(QIOT_DPCMD_TYPE_BUS, 1);
    CHECK_VALUE(QIOT_DPCMD_TYPE_LAN, 3);
    CHECK_VALUE(QIOT_DPCMD_TYPE_OTA, 2);
    CHECK_VALUE(QIOT_DPCMD_TYPE_SYS, 0);
    CHECK_VALUE(QIOT_DPDATA_TYPE_BOOL, 0);
    CHECK_VALUE(QIOT_DPDATA_TYPE_BYTE, 3);
    CHECK_VALUE(QIOT_DPDATA_TYPE_FLOAT, 2);
    CHECK_VALUE(QIOT_DPDATA_TYPE_INT, 1);
    CHECK_VALUE(QIOT_DPDATA_TYPE_STRUCT, 4);
    CHECK_VALUE(QIOT_DPDATA_TYPE_RAW, 5);
    CHECK_VALUE(QIOT_DPDATA_TYPE_TEXT, 3);
    CHECK_VALUE(QIOT_DPID_INFO_CELLID, 4);
    CHECK_VALUE(QIOT_DPID_INFO_ICCID, 5);
    CHECK_VALUE(QIOT_DPID_INFO_LAC, 8);
    CHECK_VALUE(QIOT_DPID_INFO_MAX, INFO_MAX);
    CHECK_VALUE(QIOT_DPID_INFO_MCC, 6);
    CHECK_VALUE(QIOT_DPID_INFO_MNC, 7);
    CHECK_VALUE(QIOT_DPID_INFO_LOC_SUPLIST, 12);
    CHECK_VALUE(QIOT_DPID_INFO_LOG_DURATION, 16);
    CHECK_VALUE(QIOT_DPID_INFO_LOG_LEVEL, 17);
    CHECK_VALUE(QIOT_DPID_INFO_MCU_VER, 3);
    CHECK_VALUE(QIOT_DPID_INFO_MODEL_TYPE, 1);
    CHECK_VALUE(QIOT_DPID_INFO_MODEL_VER, 2);
    CHECK_VALUE(QIOT_DPID_INFO_PHONE_NUM, 9);
    CHECK_VALUE(QIOT_DPID_INFO_SDK_VER, 11);
    CHECK_VALUE(QIOT_DPID_INFO_SIM_NUM, 10);
    CHECK_VALUE(QIOT_DPID_STATUS_BATTERY, 1);
    CHECK_VALUE(QIOT_DPID_STATUS_FLASHFREE, 4);
    CHECK_VALUE(QIOT_DPID_STATUS_MAX, 8);
    CHECK_VALUE(QIOT_DPID_STATUS_RSRP, 5);
    CHECK_VALUE(QIOT_DPID_STATUS_RSRQ, 6);
    CHECK_VALUE(QIOT_DPID_STATUS_SIGNAL, 3);
    CHECK_VALUE(QIOT_DPID_STATUS_SNR, 7);
    CHECK_VALUE(QIOT_DPID_STATUS_VOLTAGE, 2);
    CHECK_VALUE(QIOT_DPIO_INFO_CP_VER, 14);
    CHECK_VALUE(QIOT_DPIO_INFO_DP_VER, 13);
    CHECK_VALUE(QIOT_DPIO_INFO_MODULE_ID, 18);
    CHECK_VALUE(QIOT_MBUART_DATABITS_5, 0);
    CHECK_VALUE(QIOT_MBUART_DATABITS_6, 1);
    CHECK_VALUE(QIOT_MBUART_DATABITS_7, 2);
    CHECK_VALUE(QIOT_MBUART_DATABITS_8, 3);
    CHECK_VALUE(QIOT_MBUART_PARITY_EVEN, 1);
    CHECK_VALUE(QIOT_MBUART_PARITY_MARK, 3);
    CHECK_VALUE(QIOT_MBUART_PARITY_NONE, 0);
    CHECK_VALUE(QIOT_MBUART_PARITY_ODD, 2);
    CHECK_VALUE(QIOT_MBUART_PARITY_SPACE, 4);
    CHECK_VALUE(QIOT_MBUART_STOPBITS_1, 0);
    CHECK_VALUE(QIOT_MBUART_STOPBITS_2, 2);
    CHECK_VALUE(QIOT_MBUART_STOPBITS_1_5, 1);
    CHECK_VALUE(QIOT_RECV_SUCC_PHYMODEL_SERVER, 10212);
    CHECK_VALUE(QIOT_SEND_ERR_NTP, 10350);
    CHECK_VALUE(QIOT_SEND_SUCC_NTP, 10250);
    CHECK_VALUE(QIOT_SERVER_ERRCODE_SUBDEV_UNLOGIN, 10442);
    CHECK_VALUE(QIOT_SUBDEVAUTH_NONE, 0);
    CHECK_VALUE(QIOT_SUBDEVAUTH_PRODUCT_KEY, 1);
    CHECK_VALUE(QIOT_SUBDEVAUTH_PROJECT_ID, 2);
    CHECK_VALUE(QIOT_SUBDEV_CONN_TCP, 0);
    CHECK_VALUE(QIOT_SUBDEV_CONN_UDP, 1);
    CHECK_VALUE(QIOT_SUB_DEV_ERR_UNLOGIN, 10442);
    CHECK_VALUE(QIOT_SUB_DEV_ERR_ALREADY_CONN, 10441);
    CHECK_VALUE(QIOT_SUB_DEV_ERR_NO_ASSOCIATION, 10440);
    CHECK_VALUE(QIOT_SUB_DEV_ERR_No_ASSOCIATION, 10440);
    CHECK_VALUE(QIOT_CONN_ERR_DEVICE_FORBID, FORBIDDEN);
    CHECK_VALUE(QIOT_ATEVENT_TYPE_UNAUTH, UNAUTH);
}

/* The type of each as applications call it, and its address. */
static function_t every_function(unsigned index)
{
    qbool (*p_Ql_iotCmdOtaAction)(quint8_t) = Ql_iotCmdOtaAction;
    quint32_t (*p_Ql_iotCmdOtaMcuFWDataRead)(quint32_t, quint8_t*, quint32_t) = Ql_iotCmdOtaMcuFWDataRead;
    qbool (*p_Ql_iotCmdOtaRequest)(quint32_t) = Ql_iotCmdOtaRequest;
    qbool (*p_Ql_iotConfigGetAuth)(quint32_t*) = Ql_iotConfigGetAuth;
    QIot_connMode_e (*p_Ql_iotConfigGetConnmode)(void) = Ql_iotConfigGetConnmode;
    qbool (*p_Ql_iotConfigGetDkDs)(char**, char**) = Ql_iotConfigGetDkDs;
    quint32_t (*p_Ql_iotConfigGetLifetime)(void) = Ql_iotConfigGetLifetime;
    quint32_t (*p_Ql_iotConfigGetMcuVersion)(const char*, char**) = Ql_iotConfigGetMcuVersion;
    quint8_t (*p_Ql_iotConfigGetPdpContextId)(void) = Ql_iotConfigGetPdpContextId;
    qbool (*p_Ql_iotConfigGetProductinfo)(char **, char **, char **) = Ql_iotConfigGetProductinfo;
    void (*p_Ql_iotConfigGetPsk)(char **) = Ql_iotConfigGetPsk;
    void (*p_Ql_iotConfigGetServer)(QIot_protocolType_t*, char**) = Ql_iotConfigGetServer;
    qbool (*p_Ql_iotConfigGetSessionFlag)(void) = Ql_iotConfigGetSessionFlag;
    char* (*p_Ql_iotConfigGetSoftVersion)(void) = Ql_iotConfigGetSoftVersion;
    qbool (*p_Ql_iotConfigSetAppVersion)(const char*) = Ql_iotConfigSetAppVersion;
    qbool (*p_Ql_iotConfigSetAuthODOS)(const char*, const char*, const char*, const char*) = Ql_iotConfigSetAuthODOS;
    qbool (*p_Ql_iotConfigSetConnmode)(QIot_connMode_e) = Ql_iotConfigSetConnmode;
    qbool (*p_Ql_iotConfigSetDkDs)(const char*, const char*) = Ql_iotConfigSetDkDs;
    void (*p_Ql_iotConfigSetEventCB)(void (*)(quint32_t, qint32_t, const void *, quint32_t)) = Ql_iotConfigSetEventCB;
    qbool (*p_Ql_iotConfigSetLifetime)(quint32_t) = Ql_iotConfigSetLifetime;
    qbool (*p_Ql_iotConfigSetMcuVersion)(const char*, const char*) = Ql_iotConfigSetMcuVersion;
    qbool (*p_Ql_iotConfigSetPdpContextId)(quint8_t) = Ql_iotConfigSetPdpContextId;
    qbool (*p_Ql_iotConfigSetProductinfo)(const char*, const char*) = Ql_iotConfigSetProductinfo;
    qbool (*p_Ql_iotConfigSetPsk)(const char *) = Ql_iotConfigSetPsk;
    qbool (*p_Ql_iotConfigSetServer)(QIot_protocolType_t, const char*) = Ql_iotConfigSetServer;
    qbool (*p_Ql_iotConfigSetSessionFlag)(qbool) = Ql_iotConfigSetSessionFlag;
    QIot_state_e (*p_Ql_iotGetWorkState)(void) = Ql_iotGetWorkState;
    qbool (*p_Ql_iotInit)(void) = Ql_iotInit;
    char* (*p_Quos_stringRemoveMarks)(char*) = Quos_stringRemoveMarks;
    quint32_t (*p_Quos_stringSplit)(char*, quint32_t, char**, quint32_t, const char*, qbool) = Quos_stringSplit;
    IN_2_9(void* (*p_Ql_iotJson2Ttlv)(const cJSON*) = Ql_iotJson2Ttlv;)
    IN_2_9(cJSON* (*p_Ql_iotTtlv2Json)(const void*) = Ql_iotTtlv2Json;)
    quint32_t (*p_Ql_iotTtlvCountGet)(const void*) = Ql_iotTtlvCountGet;
    void (*p_Ql_iotTtlvFree)(void**) = Ql_iotTtlvFree;
    qbool (*p_Ql_iotTtlvIdAddBool)(void**, quint16_t, qbool) = Ql_iotTtlvIdAddBool;
    qbool (*p_Ql_iotTtlvIdAddByte)(void**, quint16_t, const quint8_t*, quint32_t) = Ql_iotTtlvIdAddByte;
    qbool (*p_Ql_iotTtlvIdAddFloat)(void**, quint16_t, double) = Ql_iotTtlvIdAddFloat;
    qbool (*p_Ql_iotTtlvIdAddFloat_ex)(void**, quint16_t, double, quint8_t) = Ql_iotTtlvIdAddFloat_ex;
    qbool (*p_Ql_iotTtlvIdAddInt)(void**, quint16_t, qint64_t) = Ql_iotTtlvIdAddInt;
    qbool (*p_Ql_iotTtlvIdAddRaw)(void**, quint16_t, const quint8_t*, quint32_t) = Ql_iotTtlvIdAddRaw;
    qbool (*p_Ql_iotTtlvIdAddString)(void**, quint16_t, const char*) = Ql_iotTtlvIdAddString;
    qbool (*p_Ql_iotTtlvIdAddStruct)(void**, quint16_t, void*) = Ql_iotTtlvIdAddStruct;
    qbool (*p_Ql_iotTtlvIdGetBool)(const void*, quint16_t, qbool*) = Ql_iotTtlvIdGetBool;
    quint32_t (*p_Ql_iotTtlvIdGetByte)(const void*, quint16_t, quint8_t**) = Ql_iotTtlvIdGetByte;
    qbool (*p_Ql_iotTtlvIdGetFloat)(const void*, quint16_t, double*) = Ql_iotTtlvIdGetFloat;
    qbool (*p_Ql_iotTtlvIdGetInt)(const void*, quint16_t, qint64_t*) = Ql_iotTtlvIdGetInt;
    quint32_t (*p_Ql_iotTtlvIdGetRaw)(const void*, quint16_t, quint8_t**) = Ql_iotTtlvIdGetRaw;
    char* (*p_Ql_iotTtlvIdGetString)(const void*, quint16_t) = Ql_iotTtlvIdGetString;
    void* (*p_Ql_iotTtlvIdGetStruct)(const void*, quint16_t) = Ql_iotTtlvIdGetStruct;
    qbool (*p_Ql_iotTtlvIdGetType)(const void*, quint16_t, QIot_dpDataType_e*) = Ql_iotTtlvIdGetType;
    void* (*p_Ql_iotTtlvNodeGet)(const void*, quint16_t, quint16_t*, QIot_dpDataType_e*) = Ql_iotTtlvNodeGet;
    qbool (*p_Ql_iotTtlvNodeGetBool)(const void*, qbool*) = Ql_iotTtlvNodeGetBool;
    quint32_t (*p_Ql_iotTtlvNodeGetByte)(const void*, quint8_t**) = Ql_iotTtlvNodeGetByte;
    qbool (*p_Ql_iotTtlvNodeGetFloat)(const void*, double*) = Ql_iotTtlvNodeGetFloat;
    qbool (*p_Ql_iotTtlvNodeGetInt)(const void*, qint64_t*) = Ql_iotTtlvNodeGetInt;
    quint32_t (*p_Ql_iotTtlvNodeGetRaw)(const void*, quint8_t**) = Ql_iotTtlvNodeGetRaw;
    char* (*p_Ql_iotTtlvNodeGetString)(const void*) = Ql_iotTtlvNodeGetString;
    void* (*p_Ql_iotTtlvNodeGetStruct)(const void*) = Ql_iotTtlvNodeGetStruct;
    qbool (*p_Ql_iotTtlvNodeGetType)(const void*, QIot_dpDataType_e*) = Ql_iotTtlvNodeGetType;
    void (*p_Ql_iotTtlvRemove)(void**, quint16_t) = Ql_iotTtlvRemove;
    qbool (*p_Ql_iotCmdBusPassTransSend)(quint16_t, quint8_t*, quint32_t) = Ql_iotCmdBusPassTransSend;
    qint32_t (*p_Ql_iotCmdBusPassTransSend_ex)(quint16_t, quint8_t*, quint32_t) = Ql_iotCmdBusPassTransSend_ex;
    qbool (*p_Ql_iotCmdBusPhymodelAck)(quint16_t, quint16_t, const void*) = Ql_iotCmdBusPhymodelAck;
    qbool (*p_Ql_iotCmdBusPhymodelReport)(quint16_t, const void*) = Ql_iotCmdBusPhymodelReport;
    qint32_t (*p_Ql_iotCmdBusPhymodelReport_ex)(quint16_t, const void*) = Ql_iotCmdBusPhymodelReport_ex;
    qbool (*p_Ql_iotCmdSysDevInfoReport)(quint16_t*, quint32_t) = Ql_iotCmdSysDevInfoReport;
    qbool (*p_Ql_iotCmdSysNTPReq)(void) = Ql_iotCmdSysNTPReq;
    qbool (*p_Ql_iotCmdSysStatusReport)(quint16_t*, quint32_t) = Ql_iotCmdSysStatusReport;
    void* (*p_Ql_iotSysGetDevInfo)(quint16_t*, quint32_t) = Ql_iotSysGetDevInfo;
    void* (*p_Ql_iotSysGetDevStatus)(quint16_t*, quint32_t) = Ql_iotSysGetDevStatus;
    qbool (*p_Ql_iotCmdBusLocReportInside)(void*) = Ql_iotCmdBusLocReportInside;
    qint32_t (*p_Ql_iotCmdBusLocReportInside_ex)(void*) = Ql_iotCmdBusLocReportInside_ex;
    qbool (*p_Ql_iotCmdBusLocReportOutside)(void*) = Ql_iotCmdBusLocReportOutside;
    qint32_t (*p_Ql_iotCmdBusLocReportOutside_ex)(void*) = Ql_iotCmdBusLocReportOutside_ex;
    void* (*p_Ql_iotLocGetData)(const void*) = Ql_iotLocGetData;
    void* (*p_Ql_iotLocGetSupList)(void) = Ql_iotLocGetSupList;
    void (*p_Ql_iotConfigGetHttpOtaProductInfo)(char**, char**) = Ql_iotConfigGetHttpOtaProductInfo;
    void (*p_Ql_iotConfigGetHttpOtaServer)(char**) = Ql_iotConfigGetHttpOtaServer;
    qbool (*p_Ql_iotConfigGetHttpOtaTls)(void) = Ql_iotConfigGetHttpOtaTls;
    void (*p_Ql_iotConfigGetHttpOtaUp)(quint8_t*, quint8_t*, char**) = Ql_iotConfigGetHttpOtaUp;
    void (*p_Ql_iotConfigSetHttpOtaEventCb)(void (*)(quint32_t, qint32_t, const void *, quint32_t)) = Ql_iotConfigSetHttpOtaEventCb;
    qbool (*p_Ql_iotConfigSetHttpOtaProductInfo)(const char*, const char*) = Ql_iotConfigSetHttpOtaProductInfo;
    qbool (*p_Ql_iotConfigSetHttpOtaServer)(const char*) = Ql_iotConfigSetHttpOtaServer;
    qbool (*p_Ql_iotConfigSetHttpOtaTls)(qbool) = Ql_iotConfigSetHttpOtaTls;
    qbool (*p_Ql_iotConfigSetHttpOtaUp)(quint8_t, quint8_t, const char*) = Ql_iotConfigSetHttpOtaUp;
    void (*p_Ql_iotHttpOtaGet)(quint8_t*, quint8_t*, char**, char**, char**) = Ql_iotHttpOtaGet;
    qbool (*p_Ql_iotHttpOtaReq)(quint8_t, quint8_t, const char*, const char*, const char*) = Ql_iotHttpOtaReq;
    void (*p_Ql_iotHttpOtaSetEventCb)(void (*)(quint32_t, qint32_t, const void *, quint32_t)) = Ql_iotHttpOtaSetEventCb;
    qbool (*p_Ql_iotConfigSetSubDevAuth)(quint8_t, quint8_t *) = Ql_iotConfigSetSubDevAuth;
    void (*p_Ql_iotConfigSetSubDevEventCB)(void (*)(quint32_t, qint32_t, const char *, const char *, const void *, quint32_t)) = Ql_iotConfigSetSubDevEventCB;
    qbool (*p_Ql_iotGwDevInfoReport)(const char *, const char *, const char *) = Ql_iotGwDevInfoReport;
    qbool (*p_Ql_iotGwDevLocReport)(const char *, const char *, const void *) = Ql_iotGwDevLocReport;
    qint32_t (*p_Ql_iotGwDevOtaRead)(const char *, const char *, quint32_t, quint16_t, quint8_t *) = Ql_iotGwDevOtaRead;
    qbool (*p_Ql_iotGwDevOtaReq)(const char *, const char *, const char *, quint8_t) = Ql_iotGwDevOtaReq;
    qbool (*p_Ql_iotGwDevOtaUpdate)(const char *, const char *, const char *, quint8_t) = Ql_iotGwDevOtaUpdate;
    qbool (*p_Ql_iotSubDevConn)(const char*, const char*, const char*, const char*, quint8_t, quint16_t) = Ql_iotSubDevConn;
    qbool (*p_Ql_iotSubDevDeauth)(const char*, const char*, const char*, const char*) = Ql_iotSubDevDeauth;
    qbool (*p_Ql_iotSubDevDisconn)(const char*, const char*) = Ql_iotSubDevDisconn;
    qbool (*p_Ql_iotSubDevHTB)(const char*, const char*) = Ql_iotSubDevHTB;
    qbool (*p_Ql_iotSubDevPassTransSend)(const char*, const char*, quint8_t*, quint16_t) = Ql_iotSubDevPassTransSend;
    qint32_t (*p_Ql_iotSubDevPassTransSend_ex)(const char*, const char*, quint8_t*, quint16_t) = Ql_iotSubDevPassTransSend_ex;
    qbool (*p_Ql_iotSubDevSetConnMode)(quint8_t, quint8_t) = Ql_iotSubDevSetConnMode;
    qbool (*p_Ql_iotSubDevTslAck)(const char*, const char*, quint16_t, const void*) = Ql_iotSubDevTslAck;
    qbool (*p_Ql_iotSubDevTslReport)(const char*, const char*, const void*) = Ql_iotSubDevTslReport;
    qint32_t (*p_Ql_iotSubDevTslReport_ex)(const char*, const char*, const void*) = Ql_iotSubDevTslReport_ex;
    qbool (*p_Ql_iotMBCloudRecv)(const void*) = Ql_iotMBCloudRecv;
    qbool (*p_Ql_iotMBDeinit)(void) = Ql_iotMBDeinit;
    qbool (*p_Ql_iotMBInit)(quint16_t*, quint32_t, QIot_MBSend_f, QIot_MBInitCb_f) = Ql_iotMBInit;
    qbool (*p_Ql_iotMBLocalRecv)(quint16_t, quint8_t*, quint32_t) = Ql_iotMBLocalRecv;
    qbool (*p_Ql_iotClear)(void) = Ql_iotClear;
    qbool (*p_Ql_iotCmdBindcodeReport)(quint8_t*, quint32_t) = Ql_iotCmdBindcodeReport;
    quint32_t (*p_Ql_iotDBindcodeGet)(char **) = Ql_iotDBindcodeGet;
    qbool (*p_Ql_iotDBindcodeSet)(const char *, quint32_t) = Ql_iotDBindcodeSet;
    qbool (*p_Ql_iotDataCollSend)(qbool, quint32_t, quint16_t, quint8_t*) = Ql_iotDataCollSend;
    qbool (*p_Ql_iotRst)(void) = Ql_iotRst;
    const function_t functions[] = {
        (function_t)p_Ql_iotCmdOtaAction,
        (function_t)p_Ql_iotCmdOtaMcuFWDataRead,
        (function_t)p_Ql_iotCmdOtaRequest,
        (function_t)p_Ql_iotConfigGetAuth,
        (function_t)p_Ql_iotConfigGetConnmode,
        (function_t)p_Ql_iotConfigGetDkDs,
        (function_t)p_Ql_iotConfigGetLifetime,
        (function_t)p_Ql_iotConfigGetMcuVersion,
        (function_t)p_Ql_iotConfigGetPdpContextId,
        (function_t)p_Ql_iotConfigGetProductinfo,
        (function_t)p_Ql_iotConfigGetPsk,
        (function_t)p_Ql_iotConfigGetServer,
        (function_t)p_Ql_iotConfigGetSessionFlag,
        (function_t)p_Ql_iotConfigGetSoftVersion,
        (function_t)p_Ql_iotConfigSetAppVersion,
        (function_t)p_Ql_iotConfigSetAuthODOS,
        (function_t)p_Ql_iotConfigSetConnmode,
        (function_t)p_Ql_iotConfigSetDkDs,
        (function_t)p_Ql_iotConfigSetEventCB,
        (function_t)p_Ql_iotConfigSetLifetime,
        (function_t)p_Ql_iotConfigSetMcuVersion,
        (function_t)p_Ql_iotConfigSetPdpContextId,
        (function_t)p_Ql_iotConfigSetProductinfo,
        (function_t)p_Ql_iotConfigSetPsk,
        (function_t)p_Ql_iotConfigSetServer,
        (function_t)p_Ql_iotConfigSetSessionFlag,
        (function_t)p_Ql_iotGetWorkState,
        (function_t)p_Ql_iotInit,
        (function_t)p_Quos_stringRemoveMarks,
        (function_t)p_Quos_stringSplit,
        IN_2_9((function_t)p_Ql_iotJson2Ttlv,)
        IN_2_9((function_t)p_Ql_iotTtlv2Json,)
        (function_t)p_Ql_iotTtlvCountGet,
        (function_t)p_Ql_iotTtlvFree,
        (function_t)p_Ql_iotTtlvIdAddBool,
        (function_t)p_Ql_iotTtlvIdAddByte,
        (function_t)p_Ql_iotTtlvIdAddFloat,
        (function_t)p_Ql_iotTtlvIdAddFloat_ex,
        (function_t)p_Ql_iotTtlvIdAddInt,
        (function_t)p_Ql_iotTtlvIdAddRaw,
        (function_t)p_Ql_iotTtlvIdAddString,
        (function_t)p_Ql_iotTtlvIdAddStruct,
        (function_t)p_Ql_iotTtlvIdGetBool,
        (function_t)p_Ql_iotTtlvIdGetByte,
        (function_t)p_Ql_iotTtlvIdGetFloat,
        (function_t)p_Ql_iotTtlvIdGetInt,
        (function_t)p_Ql_iotTtlvIdGetRaw,
        (function_t)p_Ql_iotTtlvIdGetString,
        (function_t)p_Ql_iotTtlvIdGetStruct,
        (function_t)p_Ql_iotTtlvIdGetType,
        (function_t)p_Ql_iotTtlvNodeGet,
        (function_t)p_Ql_iotTtlvNodeGetBool,
        (function_t)p_Ql_iotTtlvNodeGetByte,
        (function_t)p_Ql_iotTtlvNodeGetFloat,
        (function_t)p_Ql_iotTtlvNodeGetInt,
        (function_t)p_Ql_iotTtlvNodeGetRaw,
        (function_t)p_Ql_iotTtlvNodeGetString,
        (function_t)p_Ql_iotTtlvNodeGetStruct,
        (function_t)p_Ql_iotTtlvNodeGetType,
        (function_t)p_Ql_iotTtlvRemove,
        (function_t)p_Ql_iotCmdBusPassTransSend,
        (function_t)p_Ql_iotCmdBusPassTransSend_ex,
        (function_t)p_Ql_iotCmdBusPhymodelAck,
        (function_t)p_Ql_iotCmdBusPhymodelReport,
        (function_t)p_Ql_iotCmdBusPhymodelReport_ex,
        (function_t)p_Ql_iotCmdSysDevInfoReport,
        (function_t)p_Ql_iotCmdSysNTPReq,
        (function_t)p_Ql_iotCmdSysStatusReport,
        (function_t)p_Ql_iotSysGetDevInfo,
        (function_t)p_Ql_iotSysGetDevStatus,
        (function_t)p_Ql_iotCmdBusLocReportInside,
        (function_t)p_Ql_iotCmdBusLocReportInside_ex,
        (function_t)p_Ql_iotCmdBusLocReportOutside,
        (function_t)p_Ql_iotCmdBusLocReportOutside_ex,
        (function_t)p_Ql_iotLocGetData,
        (function_t)p_Ql_iotLocGetSupList,
        (function_t)p_Ql_iotConfigGetHttpOtaProductInfo,
        (function_t)p_Ql_iotConfigGetHttpOtaServer,
        (function_t)p_Ql_iotConfigGetHttpOtaTls,
        (function_t)p_Ql_iotConfigGetHttpOtaUp,
        (function_t)p_Ql_iotConfigSetHttpOtaEventCb,
        (function_t)p_Ql_iotConfigSetHttpOtaProductInfo,
        (function_t)p_Ql_iotConfigSetHttpOtaServer,
        (function_t)p_Ql_iotConfigSetHttpOtaTls,
        (function_t)p_Ql_iotConfigSetHttpOtaUp,
        (function_t)p_Ql_iotHttpOtaGet,
        (function_t)p_Ql_iotHttpOtaReq,
        (function_t)p_Ql_iotHttpOtaSetEventCb,
        (function_t)p_Ql_iotConfigSetSubDevAuth,
        (function_t)p_Ql_iotConfigSetSubDevEventCB,
        (function_t)p_Ql_iotGwDevInfoReport,
        (function_t)p_Ql_iotGwDevLocReport,
        (function_t)p_Ql_iotGwDevOtaRead,
        (function_t)p_Ql_iotGwDevOtaReq,
        (function_t)p_Ql_iotGwDevOtaUpdate,
        (function_t)p_Ql_iotSubDevConn,
        (function_t)p_Ql_iotSubDevDeauth,
        (function_t)p_Ql_iotSubDevDisconn,
        (function_t)p_Ql_iotSubDevHTB,
        (function_t)p_Ql_iotSubDevPassTransSend,
        (function_t)p_Ql_iotSubDevPassTransSend_ex,
        (function_t)p_Ql_iotSubDevSetConnMode,
        (function_t)p_Ql_iotSubDevTslAck,
        (function_t)p_Ql_iotSubDevTslReport,
        (function_t)p_Ql_iotSubDevTslReport_ex,
        (function_t)p_Ql_iotMBCloudRecv,
        (function_t)p_Ql_iotMBDeinit,
        (function_t)p_Ql_iotMBInit,
        (function_t)p_Ql_iotMBLocalRecv,
        (function_t)p_Ql_iotClear,
        (function_t)p_Ql_iotCmdBindcodeReport,
        (function_t)p_Ql_iotDBindcodeGet,
        (function_t)p_Ql_iotDBindcodeSet,
        (function_t)p_Ql_iotDataCollSend,
        (function_t)p_Ql_iotRst,
    };
    return index < sizeof functions / sizeof functions[0] ? functions[index] : NULL;
}

/* Zeros for every parameter, before and after Ql_iotInit: no call crashes or waits. */
static void call_every_function(void)
{
    (void)Ql_iotCmdOtaAction(0);
    (void)Ql_iotCmdOtaMcuFWDataRead(0, 0, 0);
    (void)Ql_iotCmdOtaRequest(0);
    (void)Ql_iotConfigGetAuth(0);
    (void)Ql_iotConfigGetConnmode();
    (void)Ql_iotConfigGetDkDs(0, 0);
    (void)Ql_iotConfigGetLifetime();
    (void)Ql_iotConfigGetMcuVersion(0, 0);
    (void)Ql_iotConfigGetPdpContextId();
    (void)Ql_iotConfigGetProductinfo(0, 0, 0);
    Ql_iotConfigGetPsk(0);
    Ql_iotConfigGetServer(0, 0);
    (void)Ql_iotConfigGetSessionFlag();
    (void)Ql_iotConfigGetSoftVersion();
    (void)Ql_iotConfigSetAppVersion(0);
    (void)Ql_iotConfigSetAuthODOS(0, 0, 0, 0);
    (void)Ql_iotConfigSetConnmode(0);
    (void)Ql_iotConfigSetDkDs(0, 0);
    Ql_iotConfigSetEventCB(0);
    (void)Ql_iotConfigSetLifetime(0);
    (void)Ql_iotConfigSetMcuVersion(0, 0);
    (void)Ql_iotConfigSetPdpContextId(0);
    (void)Ql_iotConfigSetProductinfo(0, 0);
    (void)Ql_iotConfigSetPsk(0);
    (void)Ql_iotConfigSetServer(0, 0);
    (void)Ql_iotConfigSetSessionFlag(0);
    (void)Ql_iotGetWorkState();
    (void)Quos_stringRemoveMarks(0);
    (void)Quos_stringSplit(0, 0, 0, 0, 0, 0);
    IN_2_9((void)Ql_iotJson2Ttlv(0);)
    IN_2_9((void)Ql_iotTtlv2Json(0);)
    (void)Ql_iotTtlvCountGet(0);
    Ql_iotTtlvFree(0);
    (void)Ql_iotTtlvIdAddBool(0, 0, 0);
    (void)Ql_iotTtlvIdAddByte(0, 0, 0, 0);
    (void)Ql_iotTtlvIdAddFloat(0, 0, 0);
    (void)Ql_iotTtlvIdAddFloat_ex(0, 0, 0, 0);
    (void)Ql_iotTtlvIdAddInt(0, 0, 0);
    (void)Ql_iotTtlvIdAddRaw(0, 0, 0, 0);
    (void)Ql_iotTtlvIdAddString(0, 0, 0);
    (void)Ql_iotTtlvIdAddStruct(0, 0, 0);
    (void)Ql_iotTtlvIdGetBool(0, 0, 0);
    (void)Ql_iotTtlvIdGetByte(0, 0, 0);
    (void)Ql_iotTtlvIdGetFloat(0, 0, 0);
    (void)Ql_iotTtlvIdGetInt(0, 0, 0);
    (void)Ql_iotTtlvIdGetRaw(0, 0, 0);
    (void)Ql_iotTtlvIdGetString(0, 0);
    (void)Ql_iotTtlvIdGetStruct(0, 0);
    (void)Ql_iotTtlvIdGetType(0, 0, 0);
    (void)Ql_iotTtlvNodeGet(0, 0, 0, 0);
    (void)Ql_iotTtlvNodeGetBool(0, 0);
    (void)Ql_iotTtlvNodeGetByte(0, 0);
    (void)Ql_iotTtlvNodeGetFloat(0, 0);
    (void)Ql_iotTtlvNodeGetInt(0, 0);
    (void)Ql_iotTtlvNodeGetRaw(0, 0);
    (void)Ql_iotTtlvNodeGetString(0);
    (void)Ql_iotTtlvNodeGetStruct(0);
    (void)Ql_iotTtlvNodeGetType(0, 0);
    Ql_iotTtlvRemove(0, 0);
    (void)Ql_iotCmdBusPassTransSend(0, 0, 0);
    (void)Ql_iotCmdBusPassTransSend_ex(0, 0, 0);
    (void)Ql_iotCmdBusPhymodelAck(0, 0, 0);
    (void)Ql_iotCmdBusPhymodelReport(0, 0);
    (void)Ql_iotCmdBusPhymodelReport_ex(0, 0);
    (void)Ql_iotCmdSysDevInfoReport(0, 0);
    (void)Ql_iotCmdSysNTPReq();
    (void)Ql_iotCmdSysStatusReport(0, 0);
    (void)Ql_iotSysGetDevInfo(0, 0);
    (void)Ql_iotSysGetDevStatus(0, 0);
    (void)Ql_iotCmdBusLocReportInside(0);
    (void)Ql_iotCmdBusLocReportInside_ex(0);
    (void)Ql_iotCmdBusLocReportOutside(0);
    (void)Ql_iotCmdBusLocReportOutside_ex(0);
    (void)Ql_iotLocGetData(0);
    (void)Ql_iotLocGetSupList();
    Ql_iotConfigGetHttpOtaProductInfo(0, 0);
    Ql_iotConfigGetHttpOtaServer(0);
    (void)Ql_iotConfigGetHttpOtaTls();
    Ql_iotConfigGetHttpOtaUp(0, 0, 0);
    Ql_iotConfigSetHttpOtaEventCb(0);
    (void)Ql_iotConfigSetHttpOtaProductInfo(0, 0);
    (void)Ql_iotConfigSetHttpOtaServer(0);
    (void)Ql_iotConfigSetHttpOtaTls(0);
    (void)Ql_iotConfigSetHttpOtaUp(0, 0, 0);
    Ql_iotHttpOtaGet(0, 0, 0, 0, 0);
    (void)Ql_iotHttpOtaReq(0, 0, 0, 0, 0);
    Ql_iotHttpOtaSetEventCb(0);
    (void)Ql_iotConfigSetSubDevAuth(0, 0);
    Ql_iotConfigSetSubDevEventCB(0);
    (void)Ql_iotGwDevInfoReport(0, 0, 0);
    (void)Ql_iotGwDevLocReport(0, 0, 0);
    (void)Ql_iotGwDevOtaRead(0, 0, 0, 0, 0);
    (void)Ql_iotGwDevOtaReq(0, 0, 0, 0);
    (void)Ql_iotGwDevOtaUpdate(0, 0, 0, 0);
    (void)Ql_iotSubDevConn(0, 0, 0, 0, 0, 0);
    (void)Ql_iotSubDevDeauth(0, 0, 0, 0);
    (void)Ql_iotSubDevDisconn(0, 0);
    (void)Ql_iotSubDevHTB(0, 0);
    (void)Ql_iotSubDevPassTransSend(0, 0, 0, 0);
    (void)Ql_iotSubDevPassTransSend_ex(0, 0, 0, 0);
    (void)Ql_iotSubDevSetConnMode(0, 0);
    (void)Ql_iotSubDevTslAck(0, 0, 0, 0);
    (void)Ql_iotSubDevTslReport(0, 0, 0);
    (void)Ql_iotSubDevTslReport_ex(0, 0, 0);
    (void)Ql_iotMBCloudRecv(0);
    (void)Ql_iotMBDeinit();
    (void)Ql_iotMBInit(0, 0, 0, 0);
    (void)Ql_iotMBLocalRecv(0, 0, 0);
    (void)Ql_iotClear();
    (void)Ql_iotCmdBindcodeReport(0, 0);
    (void)Ql_iotDBindcodeGet(0);
    (void)Ql_iotDBindcodeSet(0, 0);
    (void)Ql_iotDataCollSend(0, 0, 0, 0);
    (void)Ql_iotRst();
}

int main(void)
{
    unsigned count = 0;
    every_value();
    while (every_function(count)) count++;
    CHECK_EQUAL(count, 113 + (UNAUTH == 9 ? 2 : 0));
    call_every_function();
    fake_init(&fake);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    call_every_function();
    printf("%u functions: as it should be\n", count);
    return 0;
}
