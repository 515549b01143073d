/* The measurements, one a command. Each opens its clients, measures, and adds at least one result. */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

#include "bench/loop.h"
#include "bench/result.h"

void command_fan_out(struct loop *loop, struct results *results);
void command_pairs(struct loop *loop, struct results *results);
void command_match(struct loop *loop, struct results *results);
void command_queue(struct loop *loop, struct results *results);
void command_idle(struct loop *loop, struct results *results);
void command_churn(struct loop *loop, struct results *results);

#endif
