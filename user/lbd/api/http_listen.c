// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listening sockets of the HTTP server.
 */
#include "lbd/api/http.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

/* 0: the path is free now; -EADDRINUSE: somebody serves it. */
static int make_way(const char *path, const struct sockaddr_un *address, struct lb_error *error)
{
	struct stat st;
	int fd, r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : lb_error_set(error, errno, "Failed to look at %s: %m", path);
	if (!S_ISSOCK(st.st_mode))
		return lb_error_set(error, EEXIST, "%s is in the way and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return lb_error_set(error, errno, "Failed to make a socket: %m");
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(fd);
	if (r != ECONNREFUSED && r != ENOENT)
		return lb_error_set(error, EADDRINUSE, "another process serves %s: choose another --socket",
				    path);
	if (unlink(path) < 0 && errno != ENOENT)
		return lb_error_set(error, errno, "Failed to remove the stale socket %s: %m", path);
	return 0;
}

static int give_to_group(const char *path, const char *name, struct lb_error *error)
{
	const struct group *group = getgrnam(name);

	if (!group)
		return lb_error_set(error, ESRCH, "there is no group %s: see --socket-group", name);
	if (lchown(path, -1, group->gr_gid) < 0)
		return lb_error_set(error, errno, "Failed to give %s to the group %s: %m", path, name);
	return 0;
}

int http_listen_unix(const char *path, mode_t mode, const char *group, struct lb_error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[sizeof(address.sun_path)];
	char *slash;
	mode_t mask;
	int fd, r, code;

	if (strlen(path) >= sizeof(address.sun_path))
		return lb_error_set(error, ENAMETOOLONG, "the socket's path is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path));
	memcpy(directory, address.sun_path, sizeof(directory));
	slash = strrchr(directory, '/');
	if (slash && slash != directory) {
		*slash = '\0';
		if (mkdir(directory, 0755) < 0 && errno != EEXIST)
			return lb_error_set(error, errno, "Failed to make %s: %m", directory);
	}
	r = make_way(path, &address, error);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return lb_error_set(error, errno, "Failed to make a socket: %m");
	/* Nobody is let in before it is whose it is to be. */
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	umask(mask);
	if (!r && group && (code = give_to_group(path, group, error)) < 0) {
		close(fd);
		return code;
	}
	if (!r && chmod(path, mode) < 0)
		r = errno;
	if (!r && listen(fd, BACKLOG) < 0)
		r = errno;
	if (r) {
		close(fd);
		return lb_error_set(error, r, "Failed to listen on %s: %s", path, strerror(r));
	}
	return fd;
}

int http_listen_tcp(const char *address, struct lb_error *error)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
					.ai_socktype = SOCK_STREAM };
	char host[64], *port, *name = host;
	struct addrinfo *found;
	int fd, one = 1, r;

	snprintf(host, sizeof(host), "%s", address);
	port = strrchr(host, ':');
	if (!port)
		return lb_error_set(error, EINVAL, "%s has no port", address);
	*port++ = '\0';
	if (name[0] == '[' && name[strlen(name) - 1] == ']') {
		name[strlen(name) - 1] = '\0';
		name++;
	}
	if (getaddrinfo(name, port, &hints, &found) != 0)
		return lb_error_set(error, EINVAL, "%s is not an address and a port", address);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? errno : 0;
	if (!r) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
			r = errno;
	}
	freeaddrinfo(found);
	if (!r)
		return fd;
	if (fd >= 0)
		close(fd);
	return lb_error_set(error, r, "Failed to listen on %s: %s", address, strerror(r));
}
