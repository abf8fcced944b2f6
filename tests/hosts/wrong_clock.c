/* For LD_PRELOAD: the time of day is CLOCK_AHEAD_S seconds ahead. Linux has one such clock for all namespaces. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long ahead_s(void) {
    const char *text = getenv("CLOCK_AHEAD_S");
    return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *moment) {
    int failed = syscall(SYS_clock_gettime, clock, moment);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) moment->tv_sec += ahead_s();
    return failed;
}

int gettimeofday(struct timeval *moment, void *zone) {
    int failed = syscall(SYS_gettimeofday, moment, zone);
    if (!failed) moment->tv_sec += ahead_s();
    return failed;
}

time_t time(time_t *moment) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (moment) *moment = now.tv_sec;
    return now.tv_sec;
}
