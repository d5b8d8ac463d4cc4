// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a request says besides its body, who makes it, and the answer to one that fails.
 */
#include "lbd/api/http.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

const char *http_query(const struct http_request *request, const char *name)
{
	const char *value = NULL;
	size_t length;

	if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
					  &value, &length) != MHD_YES)
		return NULL;
	return value ? value : "";
}

const char *http_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void http_error(struct http_answer *answer, unsigned int status, const struct lb_error *error,
		const char *file)
{
	struct json *json = &answer->body;

	json_done(json);
	answer->status = status;
	answer->type = NULL;
	json_object(json, NULL);
	json_object(json, "error");
	json_string(json, "message", error->text);
	if (error->path[0])
		json_string(json, "path", error->path);
	if (error->value[0])
		json_string(json, "value", error->value);
	if (file)
		json_string(json, "file", file);
	json_object_end(json);
	json_object_end(json);
}

/* As the kernel says it: of when the client connected. */
struct http_peer http_peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer = {};
	socklen_t length = sizeof(peer);

	/* Over TCP the kernel answers with uid -1, for a process of another PID namespace with pid 0. */
	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return (struct http_peer){ .uid = HTTP_NOBODY };
	return (struct http_peer){ .uid = peer.uid, .pid = peer.pid > 0 ? (__u32)peer.pid : 0 };
}
