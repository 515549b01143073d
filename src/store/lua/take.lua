-- Takes messages out of queues, for this boot: what was returned first, then what is new.
--
-- KEYS: nodes, kept answers of the boot, queues that may have entries of it. ARGV: node, boot, prefix, word of
-- PAYLOAD_READY, number, answered, bytes that one queue gives at most; then of each queue its name, its policy, and how
-- many messages are wanted.
-- Answers { 0, of each queue { id, payload, and so on }, tail() } | { 1 } | { 5 }, as admit() says. Where it is not the
-- first delivery, or a dead letter, the id has behind it, each after a space: deliveries; and why it is dead, and the
-- queue that it is from. Only the ids are kept.
local FIRST_CHUNK = 8           -- messages that are read before anything is known of their sizes
local MOST_BYTES = 4194304      -- when a call has read so much, what is behind it comes with the next
local MOST_ENTRIES = 5000
local TIDY = 16                 -- of so many calls one looks for a queue that another node has emptied

set_up(ARGV[3], ARGV[4])
local most_bytes = tonumber(ARGV[7])
local code, kept = admit()
if code ~= 0 then
    return type(code) == 'table' and code or { code }
end

local wants = {}
for at = 8, #ARGV, 8 do
    wants[#wants + 1] = { queue = queue_of(ARGV[at], read_policy(at + 1)), messages = tonumber(ARGV[at + 7]),
                          taken = {}, ids = {}, bytes = 0, passed = 0, passed_bytes = 0, looked = 0 }
end

local function add(want, id, label, message)
    local taken, ids = want.taken, want.ids
    local last = #taken
    taken[last + 1], taken[last + 2] = label, message
    ids[#ids + 1] = id
    want.bytes = want.bytes + #message + OVERHEAD
end

local function add_entry(want, entry, deliveries)
    local label = entry.id
    if entry.f and entry.r then
        label = label .. ' ' .. deliveries .. ' ' .. entry.r .. ' ' .. entry.f
    elseif deliveries ~= 1 then
        label = label .. ' ' .. deliveries
    end
    add(want, entry.id, label, entry.m or '')
end

-- ---- the same answer again

-- What this boot has settled, or lost, since, is not there any more.
local function take_again(want, ids)
    local queue = want.queue
    for _, id in ipairs(queue.failure and {} or ids) do
        local pending = redis.pcall('XPENDING', queue.key, GROUP, id, id, 1, ARGV[2])
        local raw = not error_of(pending) and pending[1] and redis.call('XRANGE', queue.key, id, id)[1]
        if raw then
            add_entry(want, entry_of(raw), pending[1][4])
        end
    end
    return want.taken
end

if kept then
    for n, want in ipairs(wants) do
        kept[2][n] = take_again(want, kept[2][n])
    end
    return kept
end

-- ---- where entries come from: so many of them, their deliveries by their ids, and how many were looked at

-- What is not taken counts all the same: it shows what is to be expected.
local function pass(want, size)
    want.passed = want.passed + 1
    want.passed_bytes = want.passed_bytes + size
end

local function make_group(queue)
    local made = redis.pcall('XGROUP', 'CREATE', queue.key, GROUP, '0', 'MKSTREAM')
    queue.failure = error_of(made)
end

-- Without those whose entries somebody has deleted.
local function claim_all(queue, ids)
    local claimed, is_there = {}, {}
    for _, raw in ipairs(#ids > 0 and redis.call('XCLAIM', queue.key, GROUP, ARGV[2], 0, unpack(ids)) or {}) do
        if raw then
            claimed[#claimed + 1] = raw
            is_there[raw[1]] = true
        end
    end
    for _, id in ipairs(#claimed < #ids and ids or {}) do
        if not is_there[id] then
            redis.call('XACK', queue.key, GROUP, id)
        end
    end
    return claimed
end

-- A message that was delivered too often goes to the dead-letter queue, if that can take it; but not one whose time is
-- over.
local function is_buried(want, id, deliveries)
    local queue = want.queue
    local raw = is_too_often(queue, deliveries) and redis.call('XRANGE', queue.key, id, id)[1]
    local entry = raw and entry_of(raw)
    local moves = entry and not has_expired(entry) and move_to_dead_letters(queue, entry, 'max-deliveries')
    if moves then
        pass(want, entry.size)
    end
    return moves
end

local function returned(want, count)
    local queue = want.queue
    local pending = redis.pcall('XPENDING', queue.key, GROUP, '-', '+', count, FREE)
    local ids, deliveries = {}, {}
    if error_of(pending) then
        make_group(queue)
        return {}, {}, 0
    end
    for _, found in ipairs(pending) do
        if not is_buried(want, found[1], found[4]) then
            ids[#ids + 1] = found[1]
            deliveries[found[1]] = found[4] + 1
        end
    end
    flush(queue)
    return claim_all(queue, ids), deliveries, #pending
end

local function new(want, count)
    local read = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[2], 'COUNT', count, 'STREAMS', want.queue.key, '>')
    local raws = read and read[1][2] or {}
    return raws, {}, #raws
end

-- ---- taking

local spent = { bytes = 0, entries = 0 }

local function is_spent()
    return spent.bytes >= MOST_BYTES or spent.entries >= MOST_ENTRIES
end

local function is_satisfied(want)
    return #want.ids >= want.messages or want.bytes >= most_bytes
end

-- Most have a payload and nothing else.
local function sort_out(want, raw, deliveries)
    local fields = raw[2]
    if deliveries == 1 and #fields == 2 and fields[1] == 'm' and not is_satisfied(want) then
        return add(want, raw[1], raw[1], fields[2])
    end
    local queue, entry = want.queue, entry_of(raw)
    if has_expired(entry) then
        pass(want, entry.size)
        remove(queue, entry.id, entry.size)
        counts.expired = counts.expired + 1
    elseif is_satisfied(want) then
        pass(want, entry.size)
        give_back(queue, entry.id, deliveries - 1)
    else
        add_entry(want, entry, deliveries)
    end
end

-- As many as will be enough, by the sizes of those before.
local function chunk_of(want)
    local chunk, seen = FIRST_CHUNK, #want.ids + want.passed
    if seen > 0 then
        local average = math.max((want.bytes + want.passed_bytes) / seen, 1)
        chunk = math.floor((most_bytes - want.bytes) / average)
    end
    return math.max(math.min(chunk, want.messages - #want.ids, PIECE), 1)
end

local function is_tired(want)
    return want.looked >= want.messages + PIECE or is_spent()
end

local function take_from(want, source)
    local more = want.queue.len > 0
    while more and not want.queue.failure and not is_satisfied(want) and not is_tired(want) do
        local chunk, bytes_before = chunk_of(want), want.bytes + want.passed_bytes
        local raws, deliveries, looked = source(want, chunk)
        more = looked == chunk
        want.looked = want.looked + looked
        for _, raw in ipairs(raws) do
            sort_out(want, raw, deliveries[raw[1]] or 1)
        end
        spent.entries = spent.entries + looked
        spent.bytes = spent.bytes + want.bytes + want.passed_bytes - bytes_before
    end
end

-- ---- who else wants something

-- How many other nodes wait, or were woken and should come soon. want.is_listed: this one does.
local function others_of(want)
    local queue, others = want.queue, 0
    local count = redis.pcall('ZCARD', queue.waiting)
    local listed = (error_of(count) or count == 0) and {} or redis.call('ZRANGE', queue.waiting, 0, -1, 'WITHSCORES')
    for n = 1, #listed, 2 do
        local since = tonumber(listed[n + 1])
        if listed[n] == ARGV[1] then
            want.is_listed = true
        elseif since < 0 or since > now - COMING then
            others = others + 1
        else
            redis.call('ZREM', queue.waiting, listed[n])
        end
    end
    return others
end

-- They get as much as this one.
local function leave_shares(want)
    local others = want.queue.len > 0 and others_of(want) or 0
    if others > 0 then
        local is_there = want.queue.len - held_of(want.queue).count
        local share = math.max(math.ceil(is_there / (1 + others)), 1)
        if share < want.messages then
            want.messages, want.leaves = share, is_there
        end
    end
end

local from_now_on = ('%d'):format(now - LONG_AGO)

-- Who gets less waits to be woken; or is to come again, where this call had to stop before the end, or has left something
-- for others, who are woken for it.
local function end_want(want)
    local queue = want.queue
    local left = want.leaves and math.max(want.leaves - #want.ids, 0) or 0
    local has_all = #want.ids >= want.messages
    local comes_again = has_all and left > 0 or not has_all and (is_satisfied(want) or is_tired(want))
    if not comes_again and (want.leaves or not has_all) then
        redis.pcall('ZADD', queue.waiting, 'LT', from_now_on, ARGV[1])
    elseif want.is_listed then
        redis.call('ZREM', queue.waiting, ARGV[1])
    end
    if comes_again then
        ready[#ready + 1] = queue.name
        queue.ready = queue.ready + left
    end
end

-- Before anything is taken: what is not noted would be lost with this boot.
local noted = redis.pcall('SRANDMEMBER', KEYS[3])
if error_of(noted) then
    return noted
end

-- Another node may have had the last of it.
local function tidy(name)
    local pending = redis.pcall('XPENDING', prefix .. name, GROUP, '-', '+', 1, ARGV[2])
    if error_of(pending) or #pending == 0 then
        redis.call('SREM', KEYS[3], name)
    end
end

local sound = 0
local answer, ids = {}, {}
for n, want in ipairs(wants) do
    leave_shares(want)
    take_from(want, returned)
    take_from(want, new)
    hold(want.queue, want.bytes)
    answer[n], ids[n] = want.taken, want.ids
    if want.queue.failure then
        fail(want.queue.failure)
    else
        sound = sound + 1
        end_want(want)
    end
    if #want.ids > 0 and want.queue.name ~= noted then
        redis.call('SADD', KEYS[3], want.queue.name)
    end
end
finish_all()
if noted and ARGV[5] % TIDY == 0 then
    tidy(noted)
end
if sound == 0 then
    return redis.error_reply(failure)
end
keep({ 0, ids, tail() })
return { 0, answer, tail() }
