-- What the scripts of queues have in common: CMake puts it in front of each of them, behind registry.lua.
--
-- A queue is a stream of that name. An entry has the fields m (payload.h), x (when it expires: ms of TIME), and in
-- dead-letter queues f and r (which queue it is from, and why). Consumers of its group are boots, and `free`, which
-- owns what was returned; a pending entry's count is how often it was delivered. Beside it are i:<queue>, which counts
-- the bytes, and where the oldest makes way also those that each boot has; and w:<queue>, a sorted set of the nodes that
-- got less than they wanted: since when (ms of TIME, LONG_AGO less), or, once they were woken, when that was.
--
-- Where the server has no memory left, a script's first write is refused if it may need some, and whatever comes behind
-- another write is not.

local GROUP, FREE = 'stompd', 'free'
local OVERHEAD = 64         -- bytes that an entry counts beside its payload, as in redis_queue_answer.h
local PIECE = 1000          -- ids in one command at most
local LOOK = 100            -- ready entries that are looked at for expired ones, where a queue is full
local LOOK_BYTES = 1048576  -- and how many bytes of them
local COMING = 1000         -- ms in which who was woken should come
local LONG_AGO = 10 ^ 15

local prefix, word -- of all keys and channels; what is in front of the queue's name in the word of PAYLOAD_READY
local now
local queues = {}  -- that the script has looked at, by name
local counts = { expired = 0, dropped = 0, dead = 0 }
local ready = {}   -- queues for which this node itself had waited
local failure = '' -- the first error that was met

local function error_of(reply)
    return type(reply) == 'table' and reply.err
end

local function fail(why)
    if failure == '' then
        failure = why
    end
end

local function set_up(keys_prefix, ready_word)
    local time = redis.call('TIME')
    prefix, word = keys_prefix, ready_word
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- ---- entries

-- An entry as XRANGE tells it, as a table.
local function entry_of(raw)
    local fields = {}
    for n = 1, #raw[2], 2 do
        fields[raw[2][n]] = raw[2][n + 1]
    end
    return { id = raw[1], m = fields.m, x = fields.x, f = fields.f, r = fields.r,
             size = fields.m and #fields.m + OVERHEAD or 0 }
end

local function has_expired(entry)
    local expiry = tonumber(entry.x)
    return expiry and expiry <= now
end

-- ---- queues

local function bytes_of(field)
    return field and field:match('^%d+$') and tonumber(field) or 0
end

-- The queue of that name, which may be of no use: `failure` says why. A policy is: most messages, most bytes, what
-- happens when it is full, most deliveries, idle expiry, name of the dead-letter queue.
local function queue_of(name, policy)
    local queue = queues[name]
    if not queue then
        queue = { name = name, key = prefix .. name, info = prefix .. 'i:' .. name, waiting = prefix .. 'w:' .. name,
                  policy = policy, owned = {}, removed = {}, settled = {}, returned = {}, ready = 0 }
        local len, bytes = redis.pcall('XLEN', queue.key), redis.pcall('HMGET', queue.info, 'bytes', ARGV[2])
        queue.failure = error_of(len) or error_of(bytes)
        queue.len = queue.failure and 0 or len
        queue.was_empty = queue.len == 0
        queue.bytes = queue.failure and 0 or bytes_of(bytes[1])
        queue.own = queue.failure and 0 or bytes_of(bytes[2])
        queue.bytes_before, queue.own_before = queue.bytes, queue.own
        if name:sub(1, 2) == 'd:' then
            queue.is_unbound = redis.pcall('HEXISTS', prefix .. 'durables', name) == 0
        end
        queues[name] = queue
    end
    return queue
end

-- Those, what is settled and what is to be returned leave with flush(), many at a time.
local function remove(queue, id, size)
    queue.removed[#queue.removed + 1] = id
    queue.len = queue.len - 1
    queue.bytes = math.max(queue.bytes - size, 0)
end

-- An entry of this boot, if it is pending at all: nobody else has any.
local function settle(queue, id, size)
    local settled = queue.settled
    settled[#settled + 1] = id
    queue.settled[id] = size
    queue.len = queue.len - 1
    queue.bytes = math.max(queue.bytes - size, 0)
end

local function give_back(queue, id, deliveries)
    local ids = queue.returned[deliveries] or {}
    queue.returned[deliveries] = ids
    ids[#ids + 1] = id
    queue.ready = queue.ready + 1
end

local function claim(queue, owner, ids, deliveries)
    for first = 1, #ids, PIECE do
        local piece = { unpack(ids, first, math.min(first + PIECE - 1, #ids)) }
        piece[#piece + 1] = 'RETRYCOUNT'
        piece[#piece + 1] = deliveries
        piece[#piece + 1] = 'JUSTID'
        redis.call('XCLAIM', queue.key, GROUP, owner, 0, unpack(piece))
    end
end

-- The last that was ever delivered.
local function last_delivered(queue)
    local groups = redis.pcall('XINFO', 'GROUPS', queue.key)
    for _, group in ipairs(error_of(groups) and {} or groups) do
        local info = {}
        for n = 1, #group, 2 do
            info[group[n]] = group[n + 1]
        end
        if info.name == GROUP then
            return info['last-delivered-id']
        end
    end
end

-- Ids have numbers of 64 bits.
local function is_later(id, other)
    local ms, n = id:match('^(%d+)-(%d+)$')
    local other_ms, other_n = (other or '0-0'):match('^(%d+)-(%d+)$')
    if ms == other_ms then
        ms, other_ms = n, other_n
    end
    return #ms > #other_ms or #ms == #other_ms and ms > other_ms
end

-- Not all of them were pending. Those that are still there were, unless they have yet to be delivered.
local function delete_settled(queue, first, last)
    local newest = last_delivered(queue)
    for n = first, last do
        local id = queue.settled[n]
        if is_later(id, newest) or redis.call('XDEL', queue.key, id) == 0 then
            queue.len = queue.len + 1
            queue.bytes = queue.bytes + queue.settled[id]
        end
    end
end

local function flush_settled(queue)
    local settled = queue.settled
    for first = 1, #settled, PIECE do
        local last = math.min(first + PIECE - 1, #settled)
        local count = last - first + 1
        if redis.call('XACK', queue.key, GROUP, unpack(settled, first, last)) == count then
            queue.len = queue.len + count - redis.call('XDEL', queue.key, unpack(settled, first, last))
        else
            delete_settled(queue, first, last)
        end
    end
end

local function flush(queue)
    local removed = queue.removed
    for first = 1, #removed, PIECE do
        local last = math.min(first + PIECE - 1, #removed)
        redis.call('XACK', queue.key, GROUP, unpack(removed, first, last))
        local gone = redis.call('XDEL', queue.key, unpack(removed, first, last))
        queue.len = queue.len + (last - first + 1) - gone
    end
    flush_settled(queue)
    for deliveries, ids in pairs(queue.returned) do
        claim(queue, FREE, ids, deliveries)
    end
    queue.removed, queue.settled, queue.returned = {}, {}, {}
end

-- Wakes a waiting node for each message, if there are as many; who has waited for longest goes first. A node that does
-- not hear the word is dead, or about to take again. This script's own node is told by the answer, unless it is going.
local function wake(queue, messages, going)
    while messages > 0 do
        local nodes = redis.pcall('ZRANGEBYSCORE', queue.waiting, '-inf', '(0', 'LIMIT', 0, messages)
        if error_of(nodes) or #nodes == 0 then
            return
        end
        for _, node in ipairs(nodes) do
            local comes = node == ARGV[1] and not going
            if comes then
                ready[#ready + 1] = queue.name
            elseif node ~= ARGV[1] then
                local heard = redis.pcall('PUBLISH', prefix .. 'n:' .. node, word .. queue.name)
                comes = not error_of(heard) and heard > 0
            end
            if comes then
                redis.call('ZADD', queue.waiting, now, node)
                messages = messages - 1
            else
                redis.call('ZREM', queue.waiting, node)
            end
        end
    end
end

local function note_bytes(queue)
    local tells_own = queue.own ~= queue.own_before
    if tells_own and queue.own == 0 then
        redis.call('HDEL', queue.info, ARGV[2])
    elseif tells_own then
        redis.call('HSET', queue.info, 'bytes', queue.bytes, ARGV[2], queue.own)
        return
    end
    if queue.bytes ~= queue.bytes_before then
        redis.call('HSET', queue.info, 'bytes', queue.bytes)
    end
end

-- An empty queue has a time to live, which whoever wants something from it renews. KEYS[3]: the queues that may have
-- entries of this boot. Nobody is woken for what a call without a number gives back: this node can't deliver it, and who
-- else can comes by itself.
local function finish(queue)
    flush(queue)
    if queue.len == 0 then
        if not queue.was_empty or queue.bytes_before > 0 then
            redis.pcall('SREM', KEYS[3], queue.name)
            redis.call('DEL', queue.info)
        end
        redis.call('PEXPIRE', queue.key, queue.policy.idle)
        redis.pcall('PEXPIRE', queue.waiting, queue.policy.idle)
    else
        note_bytes(queue)
        if queue.was_empty then
            redis.call('PERSIST', queue.key)
            redis.pcall('PERSIST', queue.waiting)
        end
    end
    if ARGV[5] ~= '0' then
        wake(queue, queue.ready)
    end
end

local function finish_all()
    for _, queue in pairs(queues) do
        if not queue.failure then
            finish(queue)
        end
    end
end

-- ---- what boots have

-- Where its oldest makes way, only what is ready counts against a queue's limits, so what boots have is counted too.
local function counts_ready(queue)
    return queue.policy.full == 'drop' or queue.policy.full == 'dead'
end

-- This boot has taken an entry of that size.
local function hold(queue, size)
    if counts_ready(queue) then
        queue.own = queue.own + size
    end
end

-- It has it no more.
local function let_go(queue, size)
    queue.own = math.max(queue.own - size, 0)
    if queue.held then
        queue.held.count = queue.held.count - 1
        queue.held.bytes = math.max(queue.held.bytes - size, 0)
    end
end

-- Who has nothing has no bytes either.
local function bytes_held(queue, boots)
    local bytes, told = 0, redis.call('HGETALL', queue.info)
    for n = 1, #told, 2 do
        if boots[told[n]] then
            bytes = bytes + (told[n] == ARGV[2] and queue.own or bytes_of(told[n + 1]))
        elseif told[n] ~= 'bytes' and told[n] ~= ARGV[2] then
            redis.call('HDEL', queue.info, told[n])
        end
    end
    return bytes
end

-- How many entries boots have, and how many bytes.
local function held_of(queue)
    if not queue.held then
        local count, boots = 0, {}
        flush(queue)
        local pending = redis.pcall('XPENDING', queue.key, GROUP)
        for _, consumer in ipairs(not error_of(pending) and pending[4] or {}) do
            if consumer[1] ~= FREE then
                count = count + tonumber(consumer[2])
                boots[consumer[1]] = true
            end
        end
        queue.own = boots[ARGV[2]] and queue.own or 0
        queue.held = { count = count, bytes = bytes_held(queue, boots) }
    end
    return queue.held
end

-- ---- what is ready, and making room

-- The oldest entries that no boot owns.
local function oldest_ready(queue, count)
    local found = {}
    flush(queue)
    local returned = redis.pcall('XPENDING', queue.key, GROUP, '-', '+', count, FREE)
    for _, pending in ipairs(error_of(returned) and {} or returned) do
        local raw = redis.call('XRANGE', queue.key, pending[1], pending[1])[1]
        if raw then
            found[#found + 1] = entry_of(raw)
        end
    end
    if #found < count then
        local newest = last_delivered(queue)
        local raws = redis.call('XRANGE', queue.key, newest and '(' .. newest or '-', '+', 'COUNT', count - #found)
        for _, raw in ipairs(raws) do
            found[#found + 1] = entry_of(raw)
        end
    end
    return found
end

-- Once a call, since a queue that is full is put to again and again.
local function drop_expired(queue)
    if queue.looked or queue.len == 0 then
        return
    end
    queue.looked = true
    local average = math.max(queue.bytes / queue.len, 1)
    local look = math.max(math.min(LOOK, math.floor(LOOK_BYTES / average)), 1)
    for _, entry in ipairs(oldest_ready(queue, look)) do
        if has_expired(entry) then
            remove(queue, entry.id, entry.size)
            counts.expired = counts.expired + 1
        end
    end
end

-- Answers nothing, or an error. What is for a durable subscription that has ended goes nowhere.
local function put(queue, message, ...)
    if queue.is_unbound then
        return
    end
    local id = redis.pcall('XADD', queue.key, '*', 'm', message, ...)
    if error_of(id) then
        return id.err
    end
    queue.len = queue.len + 1
    queue.bytes = queue.bytes + #message + OVERHEAD
    queue.ready = queue.ready + 1
end

-- ---- dead letters

local function dead_letters_of(queue)
    local policy = queue.policy
    return policy.dead ~= '' and queue_of(policy.dead, { full = 'refuse', idle = policy.idle, dead = '' }) or nil
end

-- Whether a message has had all its deliveries. Where there is no dead-letter queue it is better delivered once more.
local function is_too_often(queue, deliveries)
    local policy = queue.policy
    return policy.deliveries > 0 and deliveries >= policy.deliveries and policy.dead ~= ''
end

-- A dead-letter queue has the limits of the queue that it is for, and loses its oldest.
local function make_place(dead, policy, size)
    for _ = 1, LOOK do
        local full = policy.messages > 0 and dead.len >= policy.messages or
            policy.bytes > 0 and dead.bytes + size > policy.bytes
        local oldest = full and oldest_ready(dead, 1)[1]
        if not oldest then
            return
        end
        remove(dead, oldest.id, oldest.size)
        counts.dropped = counts.dropped + 1
    end
end

-- Takes an entry out of its queue, into the dead-letter queue where there is one. False: that can't take it.
local function move_to_dead_letters(queue, entry, reason)
    local dead = dead_letters_of(queue)
    if dead and entry.m then
        if not dead.failure then
            make_place(dead, queue.policy, entry.size)
        end
        local why = dead.failure or put(dead, entry.m, 'f', queue.name, 'r', reason)
        if why then
            fail(why)
            return false
        end
        counts.dead = counts.dead + 1
    end
    remove(queue, entry.id, entry.size)
    return true
end

-- ---- calls

-- Policies are six arguments each.
local function read_policy(at)
    return { messages = tonumber(ARGV[at]), bytes = tonumber(ARGV[at + 1]), full = ARGV[at + 2],
             deliveries = tonumber(ARGV[at + 3]), idle = ARGV[at + 4], dead = ARGV[at + 5] }
end

-- Answers of calls that have been answered are not kept. Data that was restored may be far behind.
local function forget(first, floor)
    local old = {}
    if floor - first > PIECE then
        for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do
            local number = tonumber(name)
            if number and number < floor then
                old[#old + 1] = name
            end
        end
    else
        for number = first, floor - 1 do
            old[#old + 1] = number
        end
    end
    for n = 1, #old, PIECE do
        redis.call('HDEL', KEYS[2], unpack(old, n, math.min(n + PIECE - 1, #old)))
    end
end

-- Whether a call may be carried out. Its KEYS: nodes, kept answers of the boot, queues that may have entries of it. Its
-- ARGV[5] and [6]: its number (0: it has none, and may be done twice), and the number up to which all have been answered,
-- which is not included.
-- Answers 0 | 1 the boot has no entry, or a fenced one, or had none when calls before this one were made | 5 its answer is
-- known already, so a broken link has left it behind | an error, and what was kept of its answer where it was carried out
-- before. Where there is no memory left, the third answer is the server's word for that.
local function admit()
    local boot, state = read_entry(redis.call('HGET', KEYS[1], ARGV[1]))
    if boot ~= ARGV[2] or state == 'dead' then
        return 1
    end
    local number, answered = tonumber(ARGV[5]), tonumber(ARGV[6])
    if number == 0 then
        return 0
    end
    local known = redis.call('HMGET', KEYS[2], 'f', ARGV[5])
    local floor_before = tonumber(known[1])
    if not floor_before and number > answered then
        return 1
    elseif floor_before and number < floor_before then
        return 5
    elseif known[2] then
        return 0, cmsgpack.unpack(known[2])
    end
    local floor = math.max(floor_before or answered, answered)
    local set, full = redis.pcall('HSET', KEYS[2], 'f', floor), nil
    if error_of(set) then
        if not set.err:find('OOM', 1, true) then
            return set
        end
        full = set.err
        redis.call('HDEL', KEYS[2], '')
        redis.call('HSET', KEYS[2], 'f', floor)
    end
    forget(floor_before or floor, floor)
    return 0, nil, full
end

local function keep(answer)
    if ARGV[5] ~= '0' then
        redis.call('HSET', KEYS[2], ARGV[5], cmsgpack.pack(answer))
    end
end

-- What every answer ends with.
local function tail()
    return failure, counts.expired, counts.dropped, counts.dead, ready
end
