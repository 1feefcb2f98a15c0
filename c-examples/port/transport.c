/* The functions of the table only note what the library wants: inside them it holds its lock, and no answer may be given.
 * transport_step() does it, and answers. So both libraries are used by one task, and their callbacks come from there. */
#include "transport.h"

#include <curl/curl.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_SIZE     2049 /* longest firmware URL, with its NUL */
#define TOPIC_SIZE   161
#define PAYLOAD_SIZE 2048 /* longest frame of the library */
#define STEP_MAX     1000 /* milliseconds; libmosquitto sends its keep-alive from here */

struct transport {
    quecota_transport_t table;
    char ca_file[1024];
    quecota_t *device;

    /* What the library wants. */
    struct {
        int wanted;
        char url[128], client_id[80], user_name[80], password[320];
        int keep_alive;
    } connect;
    struct {
        int wanted;
        char filter[TOPIC_SIZE];
    } subscribe;
    struct {
        int wanted;
        char topic[TOPIC_SIZE];
        uint8_t payload[PAYLOAD_SIZE];
        int length, qos;
        uint16_t id;
    } publish;
    int disconnect_wanted;
    struct {
        int wanted;
        char url[URL_SIZE];
        uint32_t start, length;
    } fetch;
    int fetch_cancel_wanted;

    /* The connection. NULL: none. */
    struct mosquitto *mqtt;
    int is_refused; /* and the library knows */
    int message_id; /* of libmosquitto, for the publish under way; 0: none */
    /* The fetch. `http` is NULL: none. */
    CURLM *multi;
    CURL *http;
    int head_is_handed, is_stopped;
};

/* ----------------------------------------------------------------------------------------- what the library asks for */

static int copy(char *to, size_t room, const char *from)
{
    size_t length = from ? strlen(from) : 0;
    if (length >= room) return 0;
    if (from) memcpy(to, from, length);
    to[length] = '\0';
    return 1;
}

static int32_t want_connect(void *ctx, const quecota_connect_t *to)
{
    transport_t *transport = ctx;
    if (!copy(transport->connect.url, sizeof transport->connect.url, to->url) ||
        !copy(transport->connect.client_id, sizeof transport->connect.client_id, to->client_id) ||
        !copy(transport->connect.user_name, sizeof transport->connect.user_name, to->user_name) ||
        !copy(transport->connect.password, sizeof transport->connect.password, to->password))
        return -1;
    transport->connect.keep_alive = to->keep_alive;
    transport->connect.wanted = 1;
    transport->subscribe.wanted = transport->publish.wanted = transport->disconnect_wanted = 0;
    return 0;
}

static void want_disconnect(void *ctx)
{
    transport_t *transport = ctx;
    transport->connect.wanted = transport->subscribe.wanted = 0;
    transport->disconnect_wanted = 1;
}

static int32_t want_subscribe(void *ctx, const char *filter)
{
    transport_t *transport = ctx;
    if (!copy(transport->subscribe.filter, sizeof transport->subscribe.filter, filter)) return -1;
    transport->subscribe.wanted = 1;
    return 0;
}

static int32_t want_publish(void *ctx, const char *topic, const uint8_t *payload, uint32_t length, uint8_t qos, uint16_t id)
{
    transport_t *transport = ctx;
    if (length > PAYLOAD_SIZE || !copy(transport->publish.topic, sizeof transport->publish.topic, topic)) return -1;
    memcpy(transport->publish.payload, payload, length);
    transport->publish.length = (int)length;
    transport->publish.qos = qos;
    transport->publish.id = id;
    transport->publish.wanted = 1;
    return 0;
}

static int32_t want_fetch(void *ctx, const char *url, uint32_t start, uint32_t length)
{
    transport_t *transport = ctx;
    if (!copy(transport->fetch.url, sizeof transport->fetch.url, url)) return -1;
    transport->fetch.start = start;
    transport->fetch.length = length;
    transport->fetch.wanted = transport->fetch_cancel_wanted = 1; /* one at a time */
    return 0;
}

static void want_fetch_cancel(void *ctx)
{
    transport_t *transport = ctx;
    transport->fetch.wanted = 0;
    transport->fetch_cancel_wanted = 1;
}

/* -------------------------------------------------------------------------------------------------------------- MQTT */

static void drop_connection(transport_t *transport)
{
    mosquitto_destroy(transport->mqtt); /* NULL is fine */
    transport->mqtt = NULL;
    transport->is_refused = transport->message_id = 0;
}

static void on_connect(struct mosquitto *mqtt, void *ctx, int code)
{
    transport_t *transport = ctx;
    (void)mqtt;
    transport->is_refused = code != 0;
    (void)quecota_on_link(transport->device, code == 0 ? QUECOTA_LINK_CONNECTED : QUECOTA_LINK_REFUSED, (uint8_t)code);
}

static void on_subscribe(struct mosquitto *mqtt, void *ctx, int message_id, int count, const int *granted)
{
    transport_t *transport = ctx;
    int refused = count < 1 || granted[0] > 2;
    (void)mqtt, (void)message_id;
    (void)quecota_on_link(transport->device, refused ? QUECOTA_LINK_SUBSCRIBE_REFUSED : QUECOTA_LINK_SUBSCRIBED, 0);
}

/* The peer has it: QoS 1 at PUBACK, QoS 2 at PUBCOMP. QoS 0 comes from inside mosquitto_publish(), which has told no id yet. */
static void on_publish(struct mosquitto *mqtt, void *ctx, int message_id)
{
    transport_t *transport = ctx;
    (void)mqtt;
    if (message_id != transport->message_id) return;
    transport->message_id = 0;
    (void)quecota_on_sent(transport->device, transport->publish.id, 1);
}

/* libmosquitto acknowledges once this returns, so it returns when the library has taken the message. */
static void on_message(struct mosquitto *mqtt, void *ctx, const struct mosquitto_message *message)
{
    transport_t *transport = ctx;
    int tries = 100;
    (void)mqtt;
    while (quecota_on_message(transport->device, message->topic, message->payload, (uint32_t)message->payloadlen) ==
               QUECOTA_ERROR_BUSY &&
           --tries > 0)
        (void)quecota_poll(transport->device);
}

static int connect_now(transport_t *transport)
{
    char host[128];
    const char *address = strstr(transport->connect.url, "://");
    int is_tls = strncmp(transport->connect.url, "mqtts", 5) == 0;
    char *port;

    address = address ? address + 3 : transport->connect.url;
    (void)copy(host, sizeof host, address);
    port = strrchr(host, ':');
    if (port) *port++ = '\0';

    drop_connection(transport);
    transport->mqtt = mosquitto_new(transport->connect.client_id, true, transport);
    if (!transport->mqtt) return 0;
    mosquitto_connect_callback_set(transport->mqtt, on_connect);
    mosquitto_subscribe_callback_set(transport->mqtt, on_subscribe);
    mosquitto_publish_callback_set(transport->mqtt, on_publish);
    mosquitto_message_callback_set(transport->mqtt, on_message);
    /* QuecThing devices send a password and no user name, which libmosquitto cannot: it sends an empty one. */
    return mosquitto_username_pw_set(transport->mqtt, transport->connect.user_name, transport->connect.password) ==
               MOSQ_ERR_SUCCESS &&
           (!is_tls || mosquitto_tls_set(transport->mqtt, transport->ca_file[0] ? transport->ca_file : NULL,
                                         transport->ca_file[0] ? NULL : "/etc/ssl/certs", NULL, NULL, NULL) == MOSQ_ERR_SUCCESS) &&
           /* This waits for the peer's TCP. A port with other tasks does it in a task of its own. */
           mosquitto_connect(transport->mqtt, host, port ? atoi(port) : is_tls ? 8883 : 1883, transport->connect.keep_alive) ==
               MOSQ_ERR_SUCCESS;
}

/* 0: the connection is lost. */
static int publish_now(transport_t *transport)
{
    int id = 0;
    if (mosquitto_publish(transport->mqtt, &id, transport->publish.topic, transport->publish.length, transport->publish.payload,
                          transport->publish.qos, false) != MOSQ_ERR_SUCCESS)
        return 0;
    if (transport->publish.qos == 0)
        (void)quecota_on_sent(transport->device, transport->publish.id, 1);
    else
        transport->message_id = id;
    return 1;
}

static void mqtt_step(transport_t *transport)
{
    int is_good = 1;
    if (transport->connect.wanted) {
        transport->connect.wanted = 0;
        is_good = connect_now(transport);
    }
    if (transport->mqtt && is_good && transport->subscribe.wanted)
        is_good = mosquitto_subscribe(transport->mqtt, NULL, transport->subscribe.filter, 1) == MOSQ_ERR_SUCCESS;
    if (transport->mqtt && is_good && transport->publish.wanted) is_good = publish_now(transport);
    transport->subscribe.wanted = transport->publish.wanted = 0;
    if (transport->mqtt && is_good && !transport->connect.wanted && !transport->disconnect_wanted)
        is_good = mosquitto_loop(transport->mqtt, 0, 1) == MOSQ_ERR_SUCCESS;

    if (transport->disconnect_wanted) {
        transport->disconnect_wanted = 0;
        if (transport->mqtt) (void)mosquitto_disconnect(transport->mqtt);
        drop_connection(transport);
    } else if (!is_good) {
        if (!transport->is_refused) (void)quecota_on_link(transport->device, QUECOTA_LINK_LOST, 0);
        drop_connection(transport);
    }
}

/* -------------------------------------------------------------------------------------------------------------- HTTP */

static uint32_t number_or(const char *text, uint32_t otherwise)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    return end == text || value > UINT32_MAX ? otherwise : (uint32_t)value;
}

static const char *header(transport_t *transport, const char *name)
{
    struct curl_header *found;
    /* Of the last answer, not of those that led here. */
    return curl_easy_header(transport->http, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

/* Every answer is handed over; the library checks it. */
static void hand_over_head(transport_t *transport)
{
    quecota_fetch_head_t head;
    long status = 0;
    const char *text, *total;

    memset(&head, 0, sizeof head);
    head.size = sizeof head;
    curl_easy_getinfo(transport->http, CURLINFO_RESPONSE_CODE, &status);
    head.status = (uint32_t)status;
    head.length = head.total = QUECOTA_LENGTH_UNKNOWN;
    if ((text = header(transport, "Content-Length")) != NULL) head.length = number_or(text, QUECOTA_LENGTH_UNKNOWN);
    if ((text = header(transport, "Content-Range")) != NULL && strncmp(text, "bytes ", 6) == 0) {
        head.first = number_or(text + 6, 0);
        total = strchr(text, '/');
        if (total) head.total = number_or(total + 1, QUECOTA_LENGTH_UNKNOWN);
    }
    if ((text = header(transport, "Retry-After")) != NULL) head.retry_after = number_or(text, 0);
    head.content_encoding = header(transport, "Content-Encoding");
    transport->head_is_handed = 1;
    if (quecota_on_fetch_head(transport->device, &head) == QUECOTA_FLOW_STOP) transport->is_stopped = 1;
}

/* Another length than was given ends the transfer. */
static size_t on_body(char *data, size_t one, size_t length, void *ctx)
{
    transport_t *transport = ctx;
    (void)one;
    if (!transport->head_is_handed) hand_over_head(transport);
    if (!transport->is_stopped && !transport->fetch_cancel_wanted &&
        quecota_on_fetch_data(transport->device, (const uint8_t *)data, (uint32_t)length) == QUECOTA_FLOW_STOP)
        transport->is_stopped = 1;
    return transport->is_stopped || transport->fetch_cancel_wanted ? 0 : length;
}

static void drop_fetch(transport_t *transport)
{
    if (!transport->http) return;
    curl_multi_remove_handle(transport->multi, transport->http);
    curl_easy_cleanup(transport->http);
    transport->http = NULL;
}

static void fetch_now(transport_t *transport)
{
    char range[32];
    CURL *http = curl_easy_init();

    transport->head_is_handed = transport->is_stopped = 0;
    if (!http) {
        (void)quecota_on_fetch_end(transport->device, 0);
        return;
    }
    (void)snprintf(range, sizeof range, "%lu-%lu", (unsigned long)transport->fetch.start,
                   (unsigned long)transport->fetch.start + transport->fetch.length - 1);
    curl_easy_setopt(http, CURLOPT_URL, transport->fetch.url);
    curl_easy_setopt(http, CURLOPT_RANGE, range);
    curl_easy_setopt(http, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(http, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(http, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(http, CURLOPT_REDIR_PROTOCOLS_STR, strncmp(transport->fetch.url, "https", 5) == 0 ? "https" : "http,https");
    curl_easy_setopt(http, CURLOPT_MAXREDIRS, 3L);
    curl_easy_setopt(http, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(http, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(http, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(http, CURLOPT_WRITEDATA, transport);
    if (transport->ca_file[0]) curl_easy_setopt(http, CURLOPT_CAINFO, transport->ca_file);
    transport->http = http;
    curl_multi_add_handle(transport->multi, http);
}

static void http_step(transport_t *transport)
{
    CURLMsg *message;
    int running, left;

    if (transport->fetch_cancel_wanted) {
        transport->fetch_cancel_wanted = 0;
        drop_fetch(transport);
    }
    if (transport->fetch.wanted) {
        transport->fetch.wanted = 0;
        fetch_now(transport);
    }
    if (!transport->http) return;
    curl_multi_perform(transport->multi, &running);
    while ((message = curl_multi_info_read(transport->multi, &left)) != NULL) {
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        /* An answer without a body, such as most errors. */
        if (result == CURLE_OK && !transport->head_is_handed) hand_over_head(transport);
        if (result != CURLE_OK && !transport->is_stopped && !transport->fetch_cancel_wanted)
            fprintf(stderr, "fetch: %s\n", curl_easy_strerror(result));
        drop_fetch(transport);
        if (!transport->is_stopped && !transport->fetch_cancel_wanted)
            (void)quecota_on_fetch_end(transport->device, result == CURLE_OK);
    }
}

/* ---------------------------------------------------------------------------------------------------------- together */

static int something_is_wanted(const transport_t *transport)
{
    return transport->connect.wanted || transport->subscribe.wanted || transport->publish.wanted ||
           transport->disconnect_wanted || transport->fetch.wanted || transport->fetch_cancel_wanted;
}

void transport_step(transport_t *transport, quecota_t *device, uint32_t milliseconds)
{
    struct curl_waitfd socket = { 0, CURL_WAIT_POLLIN, 0 };

    transport->device = device;
    if (!something_is_wanted(transport) && milliseconds > 0) {
        if (transport->mqtt) socket.fd = mosquitto_socket(transport->mqtt);
        if (transport->mqtt && mosquitto_want_write(transport->mqtt)) socket.events |= CURL_WAIT_POLLOUT;
        curl_multi_poll(transport->multi, transport->mqtt ? &socket : NULL, transport->mqtt ? 1 : 0,
                        (int)(milliseconds < STEP_MAX ? milliseconds : STEP_MAX), NULL);
    }
    mqtt_step(transport);
    http_step(transport);
}

const quecota_transport_t *transport_table(transport_t *transport)
{
    return &transport->table;
}

transport_t *transport_open(const char *ca_file)
{
    transport_t *transport = calloc(1, sizeof *transport);
    quecota_transport_t table = {
        sizeof table,   transport,  want_connect,      want_disconnect, want_subscribe,
        want_publish,   want_fetch, want_fetch_cancel,
    };
    if (!transport) return NULL;
    transport->table = table;
    if (!copy(transport->ca_file, sizeof transport->ca_file, ca_file) || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        mosquitto_lib_init() != MOSQ_ERR_SUCCESS || (transport->multi = curl_multi_init()) == NULL) {
        free(transport);
        return NULL;
    }
    return transport;
}

void transport_close(transport_t *transport)
{
    drop_connection(transport);
    drop_fetch(transport);
    curl_multi_cleanup(transport->multi);
    curl_global_cleanup();
    mosquitto_lib_cleanup();
    free(transport);
}
