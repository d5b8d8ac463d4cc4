// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configurations that are right: every default, every key, what is allowed at the edge of what is not, and
 * that writing gives back what was read. Also the error structure itself and the names of enumerations.
 */
#include <netinet/in.h>

#include "base/error.h"
#include "test_config_cases.h"
#include "base/nearest.h"

/* Parses JSON with ' for "; fails the test with the message if that does not work. */
static struct lb_config *parse(const char *json)
{
	struct lb_config *config = NULL;
	struct lb_error error;
	char *text = unquote(json);

	if (lb_config_parse(text, strlen(text), &config, &error) < 0)
		fail_msg("%s (%s, %s)", error.text, error.path, error.value);
	free(text);
	return config;
}

static void assert_prefix(const struct lb_prefix *prefix, const char *expected)
{
	char text[LB_PREFIX_TEXT_MAX];

	assert_string_equal(lb_prefix_text(prefix, text), expected);
}

static void assert_address(const struct lb_address *address, const char *expected)
{
	char text[LB_ADDRESS_TEXT_MAX];

	assert_string_equal(lb_address_text(address, text), expected);
}

#define WEB(more, backends)                                                                                  \
	"{'name':'web','vip':'203.0.113.10','protocol':'tcp','port':443" more ",'backends':[" backends "]}"
#define A "{'name':'a','address':'10.0.0.1'}"

static void every_default_is_filled_in(void **state)
{
	struct lb_config *config = parse(SERVICES(WEB("", A)));
	const struct lb_config_service *service = &config->services[0];
	const struct lb_config_backend *backend = &service->backends[0];

	assert_string_equal(config->hash_seed, "s");
	assert_int_equal(config->n_interfaces, 1);
	assert_string_equal(config->interfaces[0].name, "eth0");
	assert_int_equal(config->interfaces[0].xdp_mode, LB_XDP_NATIVE);
	assert_int_equal(config->interfaces[0].attach, LB_ATTACH_DISPATCHER);
	assert_int_equal(config->tunnel_source_v4.address.family, 0);
	assert_int_equal(config->tunnel_source_v6.address.family, 0);
	assert_int_equal(config->limits.services, 0);
	assert_int_equal(config->limits.backends, 0);
	assert_int_equal(config->limits.ring_slots, 0);
	assert_int_equal(config->limits.flow_entries, 0);
	assert_int_equal(config->sweeper.cpu_permille, 10);
	assert_int_equal(config->observer.cpu_permille, 8);
	assert_string_equal(config->api.socket, "/run/weir/lbd.sock");
	assert_string_equal(config->api.metrics, "127.0.0.1:9650");
	assert_int_equal(config->n_services, 1);
	assert_string_equal(service->name, "web");
	assert_prefix(&service->vip, "203.0.113.10");
	assert_int_equal(service->protocol, IPPROTO_TCP);
	assert_int_equal(service->port_first, 443);
	assert_int_equal(service->port_last, 443);
	assert_int_equal(service->forward, LB_FORWARD_IPIP);
	assert_int_equal(service->algorithm, LB_ALGORITHM_BOUNDED);
	assert_int_equal(service->ring_size, 0);
	assert_int_equal(service->affinity, LB_AFFINITY_FLOW);
	assert_int_equal(service->idle_timeout_s, 900);
	assert_int_equal(service->half_closed_timeout_s, 0);
	assert_int_equal(service->learning_window_s, 30);
	assert_true(service->echo);
	assert_int_equal(service->fragments, LB_FRAGMENTS_PASS);
	assert_int_equal(service->gue_port, 6080);
	assert_int_equal(service->n_quic, 0);
	assert_int_equal(service->n_backends, 1);
	assert_string_equal(backend->name, "a");
	assert_address(&backend->address, "10.0.0.1");
	assert_int_equal(backend->weight, 100);
	assert_int_equal(backend->state, LB_STATE_ACTIVE);
	assert_int_equal(backend->server_id_bytes, 0);
	lb_config_free(config);
}

#define EVERYTHING                                                                                           \
	"{'version':1,'hash_seed':'\\u00fc\\n\\\"',"                                                         \
	"'interfaces':[{'name':'eth0','xdp_mode':'generic','attach':'exclusive'},{'name':'eth1'}],"          \
	"'tunnel_source':{'ipv4':'172.16.0.0/12','ipv6':'fd00:77::/64'},'unclaimed':'reject',"               \
	"'limits':{'services':100,'backends':1000,'ring_slots':1000000,'flow_entries':2147483648},"          \
	"'sweeper':{'cpu_permille':1000},'observer':{'cpu_permille':0},'api':{'socket':'/tmp/"               \
	"s','metrics':''},"                                                                                  \
	"'services':["                                                                                       \
	"{'name':'h3','vip':'2001:db8::/48','protocol':'udp','port':'80-90','forward':'gue',"                \
	"'algorithm':'rendezvous','ring_size':64,'affinity':'quic','idle_timeout_s':32000,"                  \
	"'half_closed_timeout_s':31000,"                                                                     \
	"'learning_window_s':0,'echo':false,'fragments':'drop','unclaimed':'pass','no_backend':'reject','"   \
	"source_ranges':[{'prefix':'::/0'},{'prefix':'2001:db8::/32'},{'prefix':'fd00::1'}],'"               \
	"gue_port':1,"                                                                                       \
	"'quic':{'configs':[{'rotation':6,'server_id_bytes':8},{'rotation':0,'server_id_bytes':8}]},"        \
	"'backends':[{'name':'a','address':'10.0.0.1','weight':0,'state':'down','server_id':'"               \
	"00112233445566Ff'},"                                                                                \
	"{'name':'b','address':'fd00::2','weight':65535,'state':'drain','server_id':'0000000000000000'}]},"  \
	"{'name':'all','vip':'192.0.2.1','protocol':'tcp','port':'any','forward':'l2','algorithm':'maglev'," \
	"'ring_size':65536,'affinity':'source','backends':[]}]}"

static void every_key_is_read(void **state)
{
	static const __u8 server_id[8] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xff };
	struct lb_config *config = parse(EVERYTHING);
	const struct lb_config_service *service = &config->services[0];

	assert_string_equal(config->hash_seed, "\xc3\xbc\n\"");
	assert_int_equal(config->n_interfaces, 2);
	assert_int_equal(config->interfaces[0].xdp_mode, LB_XDP_GENERIC);
	assert_int_equal(config->interfaces[0].attach, LB_ATTACH_EXCLUSIVE);
	assert_int_equal(config->interfaces[1].xdp_mode, LB_XDP_NATIVE);
	assert_prefix(&config->tunnel_source_v4, "172.16.0.0/12");
	assert_prefix(&config->tunnel_source_v6, "fd00:77::/64");
	assert_int_equal(config->limits.services, 100);
	assert_int_equal(config->limits.backends, 1000);
	assert_int_equal(config->limits.ring_slots, 1000000);
	assert_int_equal(config->limits.flow_entries, 2147483648);
	assert_int_equal(config->sweeper.cpu_permille, 1000);
	assert_int_equal(config->observer.cpu_permille, 0);
	assert_string_equal(config->api.socket, "/tmp/s");
	assert_string_equal(config->api.metrics, "");
	assert_prefix(&service->vip, "2001:db8::/48");
	assert_int_equal(service->protocol, IPPROTO_UDP);
	assert_int_equal(service->port_first, 80);
	assert_int_equal(service->port_last, 90);
	assert_int_equal(service->forward, LB_FORWARD_GUE);
	assert_int_equal(service->algorithm, LB_ALGORITHM_RENDEZVOUS);
	assert_int_equal(service->ring_size, 64);
	assert_int_equal(service->affinity, LB_AFFINITY_QUIC);
	assert_int_equal(service->idle_timeout_s, 32000);
	assert_int_equal(service->half_closed_timeout_s, 31000);
	assert_int_equal(service->learning_window_s, 0);
	assert_false(service->echo);
	assert_int_equal(service->fragments, LB_FRAGMENTS_DROP);
	assert_int_equal(config->unclaimed, LB_UNCLAIMED_REJECT);
	assert_int_equal(service->unclaimed, LB_UNCLAIMED_PASS);
	assert_int_equal(service->no_backend, LB_NO_BACKEND_REJECT);
	assert_int_equal(config->services[1].unclaimed, LB_UNCLAIMED_NOT_GIVEN);
	assert_int_equal(config->services[1].no_backend, LB_NO_BACKEND_DROP);
	assert_int_equal(service->gue_port, 1);
	assert_int_equal(service->n_quic, 2);
	assert_int_equal(service->quic[0].rotation, 6);
	assert_int_equal(service->quic[0].server_id_bytes, 8);
	assert_int_equal(service->quic[1].rotation, 0);
	assert_int_equal(service->n_backends, 2);
	assert_int_equal(service->backends[0].weight, 0);
	assert_int_equal(service->backends[0].state, LB_STATE_DOWN);
	assert_int_equal(service->backends[0].server_id_bytes, 8);
	assert_memory_equal(service->backends[0].server_id, server_id, 8);
	assert_address(&service->backends[1].address, "fd00::2");
	assert_int_equal(service->backends[1].weight, 65535);
	assert_int_equal(service->backends[1].state, LB_STATE_DRAIN);
	service = &config->services[1];
	assert_int_equal(service->port_first, 0);
	assert_int_equal(service->port_last, 65535);
	assert_int_equal(service->forward, LB_FORWARD_L2);
	assert_int_equal(service->affinity, LB_AFFINITY_SOURCE);
	assert_int_equal(service->n_backends, 0);
	lb_config_free(config);
}

/* Right, though close to what is wrong. */
static void the_edge_of_what_is_right_is_taken(void **state)
{
	static const char *const cases[] = {
		TOP("'tunnel_source':{}"),
		TOP("'tunnel_source':{'ipv4':'10.0.0.0/8'}"),
		TOP("'tunnel_source':{'ipv4':'10.0.0.1/32','ipv6':'fd00::1'}"),
		TOP("'limits':{},'sweeper':{},'api':{}"),
		TOP("'limits':{'services':1e2,'backends':1.0,'ring_slots':-0}"),
		TOP("'api':{'metrics':'[::1]:1'}"),
		TOP("'\\u0061pi':{'metrics':''}"),
		"{'version':1,'hash_seed':'\\ud83d\\ude00 \\/\\b','interfaces':[{'name':'e'}],'services':[]}",
		TOP("'api':{'metrics':'0.0.0.0:65535'}"),
		"\xef\xbb\xbf " TOP("'api':{}") " \r\n\t",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		lb_config_free(parse(cases[i]));
}

#define PORT(name, vip, protocol, port)                                                                      \
	"{'name':'" name "','vip':'" vip "','protocol':'" protocol "','port':" port ",'backends':[" A "]}"

static void more_specific_services_may_lie_in_wider_ones(void **state)
{
	struct lb_config *config = parse(SERVICES(
		PORT("1", "192.0.2.1", "tcp", "443") "," PORT("2", "192.0.2.1", "tcp", "'400-500'") "," PORT("3", "192.0.2.1", "tcp", "'400-499'") "," PORT(
			"4", "192.0.2.1", "tcp",
			"'1-65535'") "," PORT("5", "192.0.2.1", "tcp",
					      "'any'") "," PORT("6", "192.0.2.1", "udp",
								"443") "," PORT("7", "192.0.2.2", "tcp",
										"443") "," PORT("8",
												"192.0.2.0/"
												"31",
												"tcp",
												"443") "," PORT("9",
														"192.0.2.0/24",
														"tcp",
														"443") "," PORT("10",
																"192.0.2.1",
																"tcp",
																"'501-600'") "," PORT("11",
																		      "192.0.2.1",
																		      "tcp",
																		      "'443-450'")));

	assert_int_equal(config->n_services, 11);
	lb_config_free(config);
}

static void families_that_can_be_carried_are_taken(void **state)
{
	struct lb_config *config = parse(SERVICES(
		"{'name':'4in4','vip':'192.0.2.1','protocol':'tcp','port':1,'backends':[" A "]},"
		"{'name':'4in6','vip':'192.0.2.2','protocol':'tcp','port':1,'backends':[{'name':'a','address'"
		":'fd00::1'}]},"
		"{'name':'6in6','vip':'2001:db8::1','protocol':'tcp','port':1,'backends':[{'name':'a','"
		"address':'fd00::1'}]},"
		"{'name':'gue','vip':'2001:db8::2','protocol':'tcp','port':1,'forward':'gue','backends':[" A
		"]},"
		"{'name':'l2','vip':'2001:db8::3','protocol':'tcp','port':1,'forward':'l2',"
		"'backends':[{'name':'a','address':'fd00::1'}]},"
		"{'name':'cid','vip':'192.0.2.3','protocol':'udp','port':1,'affinity':'quic','backends':[" A
		"]}"));

	assert_int_equal(config->n_services, 6);
	lb_config_free(config);
}

static char *written(const struct lb_config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(lb_config_write(config, out), 0);
	fclose(out);
	return text;
}

static void assert_same_service(const struct lb_config_service *a, const struct lb_config_service *b)
{
	struct lb_config_service x = *a, y = *b;

	assert_memory_equal(a->backends, b->backends, a->n_backends * sizeof(*a->backends));
	assert_memory_equal(a->source_ranges, b->source_ranges,
			    a->n_source_ranges * sizeof(*a->source_ranges));
	x.source_ranges = y.source_ranges = NULL;
	x.backends = y.backends = NULL;
	assert_memory_equal(&x, &y, sizeof(x));
}

/* Both come from calloc, so padding is zero and structures can be compared as bytes. */
static void assert_same(const struct lb_config *a, const struct lb_config *b)
{
	struct lb_config x = *a, y = *b;

	assert_memory_equal(a->interfaces, b->interfaces, a->n_interfaces * sizeof(*a->interfaces));
	assert_int_equal(a->n_services, b->n_services);
	for (size_t i = 0; i < a->n_services; i++)
		assert_same_service(&a->services[i], &b->services[i]);
	x.interfaces = y.interfaces = NULL;
	x.services = y.services = NULL;
	assert_int_equal(a->n_sources, b->n_sources);
	x.sources = y.sources = NULL;
	assert_memory_equal(&x, &y, sizeof(x));
}

static void what_is_written_reads_back_the_same(void **state)
{
	static const char *const cases[] = { EVERYTHING, SERVICES(WEB("", A)), SERVICES("") };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lb_config *config = parse(cases[i]), *again = NULL;
		char *text = written(config), *text_again;
		struct lb_error error;

		if (lb_config_parse(text, strlen(text), &again, &error) < 0)
			fail_msg("%s (%s, %s) in %s", error.text, error.path, error.value, text);
		assert_same(config, again);
		text_again = written(again);
		assert_string_equal(text, text_again);
		free(text);
		free(text_again);
		lb_config_free(config);
		lb_config_free(again);
	}
}

static void ring_sizes_follow_the_pool(void **state)
{
	static const struct {
		size_t backends;
		__u32 slots;
	} cases[] = { { 0, 1024 },   { 1, 1024 },    { 10, 1024 },   { 11, 2048 },    { 20, 2048 },
		      { 40, 4096 },  { 41, 8192 },   { 64, 8192 },   { 65, 16384 },   { 90, 16384 },
		      { 91, 32768 }, { 128, 32768 }, { 129, 65536 }, { 1000, 65536 }, { SIZE_MAX, 65536 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(lb_config_ring_size(cases[i].backends), cases[i].slots);
}

static void names_are_those_of_the_file(void **state)
{
	enum lb_state value = LB_STATE_ACTIVE;

	assert_string_equal(lb_forward_name(LB_FORWARD_IPIP), "ipip");
	assert_string_equal(lb_algorithm_name(LB_ALGORITHM_BOUNDED), "bounded");
	assert_string_equal(lb_affinity_name(LB_AFFINITY_SOURCE), "source");
	assert_string_equal(lb_state_name(LB_STATE_DOWN), "down");
	assert_string_equal(lb_xdp_mode_name(LB_XDP_GENERIC), "generic");
	assert_string_equal(lb_attach_name(LB_ATTACH_EXCLUSIVE), "exclusive");
	assert_string_equal(lb_fragments_name(LB_FRAGMENTS_DROP), "drop");
	assert_string_equal(lb_state_name((enum lb_state)99), "?");
	assert_int_equal(lb_state_parse("drain", &value), 0);
	assert_int_equal(value, LB_STATE_DRAIN);
	assert_int_equal(lb_state_parse("DRAIN", &value), -EINVAL);
	assert_int_equal(value, LB_STATE_DRAIN);
}

static void near_words_are_suggested_and_far_ones_not(void **state)
{
	static const char *const words[] = { "weight", "address", "name", "ip", NULL };

	assert_string_equal(lb_nearest("weight", words), "weight");
	assert_string_equal(lb_nearest("wieght", words), "weight");
	assert_string_equal(lb_nearest("Adress", words), "address");
	assert_string_equal(lb_nearest("nam", words), "name");
	assert_string_equal(lb_nearest("pi", words), "ip");
	assert_null(lb_nearest("", words));
	assert_null(lb_nearest("zone", words));
	assert_null(lb_nearest("a word that is much longer than any key that is known here", words));
}

static void errors_are_cut_to_fit_at_a_character(void **state)
{
	struct lb_error error;
	char much[1000], text[sizeof(error.text) + 1];

	memset(much, 'a', sizeof(much) - 1);
	much[sizeof(much) - 1] = 0;
	assert_int_equal(lb_error_at(&error, EINVAL, much, much, "%s", much), -EINVAL);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_int_equal(strlen(error.path), sizeof(error.path) - 1);
	assert_int_equal(strlen(error.value), sizeof(error.value) - 1);
	assert_string_equal(error.text + sizeof(error.text) - 5, "a...");
	/* The cut would fall between the bytes of a character. */
	memset(much, 'a', sizeof(error.value) - 5);
	strcpy(much + sizeof(error.value) - 5, "\xc3\xbc\xc3\xbc\xc3\xbc");
	lb_error_at(&error, EINVAL, NULL, much, "x");
	assert_string_equal(error.value + sizeof(error.value) - 6, "a...");
	/* What just fits is not cut. */
	memset(text, 'b', sizeof(text));
	text[sizeof(error.text) - 1] = 0;
	lb_error_set(&error, EINVAL, "%s", text);
	assert_string_equal(error.text, text);
	assert_string_equal(error.path, "");
	assert_string_equal(error.value, "");
	assert_int_equal(lb_error_set(NULL, ENOENT, "nobody listens"), -ENOENT);
}

static void an_error_can_be_put_into_itself(void **state)
{
	struct lb_error error;

	lb_error_at(&error, EINVAL, "a.b", "12", "inner");
	lb_error_at(&error, EINVAL, error.path, error.value, "outer: %s", error.text);
	assert_string_equal(error.text, "outer: inner");
	assert_string_equal(error.path, "a.b");
	assert_string_equal(error.value, "12");
}

static void nobody_need_listen_to_errors(void **state)
{
	struct lb_config *config = NULL;

	assert_int_equal(lb_config_parse("{", 1, &config, NULL), -EINVAL);
	assert_int_equal(lb_config_parse("{}", 2, &config, NULL), -EINVAL);
	assert_int_equal(lb_config_parse(NULL, 0, &config, NULL), -EINVAL);
	assert_int_equal(lb_config_load("/nonexistent/weir.json", &config, NULL), -ENOENT);
	assert_null(config);
	lb_config_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_filled_in),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(the_edge_of_what_is_right_is_taken),
		cmocka_unit_test(more_specific_services_may_lie_in_wider_ones),
		cmocka_unit_test(families_that_can_be_carried_are_taken),
		cmocka_unit_test(what_is_written_reads_back_the_same),
		cmocka_unit_test(ring_sizes_follow_the_pool),
		cmocka_unit_test(names_are_those_of_the_file),
		cmocka_unit_test(near_words_are_suggested_and_far_ones_not),
		cmocka_unit_test(errors_are_cut_to_fit_at_a_character),
		cmocka_unit_test(an_error_can_be_put_into_itself),
		cmocka_unit_test(nobody_need_listen_to_errors),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
