/* queue.c - the writes that wait for the writer, and the puts that it holds back for a moment. */
#include "index/queue.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void list_init(struct write_list *l)
{
    *l = (struct write_list){.last = &l->first};
}

static void push(struct write_list *l, struct write *x)
{
    x->next = NULL;
    *l->last = x;
    l->last = &x->next;
    l->n++;
}

static struct write *pop(struct write_list *l)
{
    struct write *x = l->first;
    l->first = x->next;
    if (!l->first)
        l->last = &l->first;
    l->n--;
    return x;
}

/* Puts all of `from` in front of `l`. */
static void prepend(struct write_list *l, struct write_list *from)
{
    if (from->n == 0)
        return;
    *from->last = l->first;
    if (l->n == 0)
        l->last = from->last;
    l->first = from->first;
    l->n += from->n;
    list_init(from);
}

void queue_init(struct queue *q)
{
    *q = (struct queue){0};
    list_init(&q->list);
    list_init(&q->held);
}

void queue_push(struct queue *q, struct write *x)
{
    push(&q->list, x);
}

size_t queue_waiting(const struct queue *q)
{
    return q->list.n + q->held.n;
}

static bool is_held(const struct queue *q, const struct write *x)
{
    return q->held_collection && x->kind == WRITE_IMAGE_PUT && strcmp(x->collection, q->held_name) == 0;
}

size_t queue_take_group(struct queue *q, struct write **items)
{
    size_t n = 0, bytes = 0;
    while (q->list.first && n < GROUP_MAX && bytes < GROUP_BYTES_MAX) {
        if (q->list.first->kind == WRITE_BACKUP && n > 0)
            break;
        struct write *x = pop(&q->list);
        if (is_held(q, x)) {
            push(&q->held, x);
            continue;
        }
        items[n++] = x;
        bytes += x->kind == WRITE_IMAGE_PUT ? x->image.put.len : 0;
        if (x->kind == WRITE_BACKUP)
            break;
    }
    return n;
}

static void release(struct queue *q)
{
    prepend(&q->list, &q->held);
    q->held_collection = 0;
}

void queue_hold(struct queue *q, int64_t collection, const char *name)
{
    if (collection && collection == q->held_collection)
        return; /* until the first deadline */
    release(q);
    q->held_collection = collection;
    snprintf(q->held_name, sizeof q->held_name, "%s", name);
    q->until = clock_ns() + HOLD_MS * 1000000LL;
}

void queue_check_hold(struct queue *q, bool now)
{
    if (q->held_collection && (now || clock_ns() >= q->until))
        release(q);
}
