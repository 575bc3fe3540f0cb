/*
 * queue.c - passwords that wait to be verified: which is next, and which has to leave when it is
 * full.
 *
 * Flow: access.c puts and takes. Owner: access.c, under its lock. Pure.
 *
 * A hash takes tens of milliseconds, so whoever sends guesses decides who waits. So addresses take
 * turns, and a full queue gives up the last check of the address that has most: guesses from one
 * address cost others one hash at a time. A password that was right before goes first, which tells
 * it from guesses that come through the same proxy.
 */
#include "access/access_internal.h"

static unsigned
count_of(const struct access_queue *queue, uint64_t address)
{
	unsigned count = 0;

	for (unsigned i = 0; i < queue->count; i++)
		count += queue->checks[i]->address == address;
	return count;
}

static void
remove_at(struct access_queue *queue, unsigned index)
{
	queue->count--;
	memmove(&queue->checks[index], &queue->checks[index + 1],
	    (queue->count - index) * sizeof(queue->checks[0]));
}

/* The last check of the address that has most, if it has at least two more than that of the new
 * one: with one more they would change places for ever. The order of the checks is that of their
 * coming. */
static struct zp_access_check *
place_make(struct access_queue *queue, const struct zp_access_check *check_new)
{
	unsigned most = check_new->was_right ? 0 : count_of(queue, check_new->address) + 1;
	unsigned heaviest = queue->count;
	struct zp_access_check *check;

	for (unsigned i = queue->count; i-- > 0;) {
		unsigned count =
		    queue->checks[i]->was_right ? 0 : count_of(queue, queue->checks[i]->address);

		if (count > most) {
			most = count;
			heaviest = i;
		}
	}
	if (heaviest == queue->count)
		return NULL;
	check = queue->checks[heaviest];
	remove_at(queue, heaviest);
	return check;
}

bool
access__queue_put(
    struct access_queue *queue, struct zp_access_check *check, struct zp_access_check **evicted_out)
{
	*evicted_out = NULL;
	if (queue->count == ZP_ACCESS_CHECKS_MAX) {
		*evicted_out = place_make(queue, check);
		if (*evicted_out == NULL)
			return false;
	}
	check->turn = queue->turn;
	for (unsigned i = 0; i < queue->count; i++)
		if (queue->checks[i]->address == check->address)
			check->turn = zp_max_u64(check->turn, queue->checks[i]->turn + 1);
	queue->checks[queue->count++] = check;
	return true;
}

struct zp_access_check *
access__queue_take(struct access_queue *queue)
{
	struct zp_access_check *check;
	unsigned first = 0;

	if (queue->count == 0)
		return NULL;
	for (unsigned i = 1; i < queue->count; i++) {
		const struct zp_access_check *best = queue->checks[first],
					     *other = queue->checks[i];

		if (other->was_right != best->was_right ? other->was_right
							: other->turn < best->turn)
			first = i;
	}
	check = queue->checks[first];
	if (!check->was_right)
		queue->turn = zp_max_u64(queue->turn, check->turn);
	remove_at(queue, first);
	return check;
}
