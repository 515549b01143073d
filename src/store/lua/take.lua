-- Takes messages out of queues, for this boot: what was returned first, then what is new.
--
-- KEYS: nodes, kept answers of the boot, queues that may have entries of it. ARGV: node, boot, prefix, word of PAYLOAD_READY,
-- number, answered, bytes that one queue gives at most; then of each queue its name, its policy, and how many messages
-- are wanted.
-- Answers { 0, of each queue { id, deliveries, payload or nothing, why it is dead, a space and the queue that it is from, or nothing;
-- and so on }, tail() } | { 1 } | { 5 }, as admit() says. Only the ids are kept.
local FIRST_CHUNK = 8 -- messages that are read before anything is known of their sizes

set_up(ARGV[3], ARGV[4])
local most_bytes = tonumber(ARGV[7])
local code, kept = admit()
if code ~= 0 then
    return type(code) == 'table' and code or { code }
end

local wants = {}
for at = 8, #ARGV, 8 do
    wants[#wants + 1] = { queue = queue_of(ARGV[at], read_policy(at + 1)), messages = tonumber(ARGV[at + 7]),
                          taken = {}, ids = {}, bytes = 0, looked = 0 }
end

local function add(want, id, deliveries, message, dead)
    local taken, ids = want.taken, want.ids
    local last = #taken
    taken[last + 1], taken[last + 2], taken[last + 3], taken[last + 4] = id, deliveries, message, dead
    ids[#ids + 1] = id
    want.bytes = want.bytes + #message + OVERHEAD
end

local function add_entry(want, entry, deliveries)
    add(want, entry.id, deliveries, entry.m or '', entry.f and entry.r and entry.r .. ' ' .. entry.f or '')
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

-- ---- where entries come from: so many of them, their deliveries by their ids, and whether there are more

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
local function is_buried(queue, id, deliveries)
    local most = queue.policy.deliveries
    local raw = most > 0 and deliveries >= most and redis.call('XRANGE', queue.key, id, id)[1]
    local entry = raw and entry_of(raw)
    return entry and not has_expired(entry) and move_to_dead_letters(queue, entry, 'max-deliveries')
end

local function returned(queue, count)
    local pending = redis.pcall('XPENDING', queue.key, GROUP, '-', '+', count, FREE)
    local ids, deliveries = {}, {}
    if error_of(pending) then
        make_group(queue)
        return {}, {}, false
    end
    for _, found in ipairs(pending) do
        if not is_buried(queue, found[1], found[4]) then
            ids[#ids + 1] = found[1]
            deliveries[found[1]] = found[4] + 1
        end
    end
    flush(queue)
    return claim_all(queue, ids), deliveries, #pending == count
end

local function new(queue, count)
    local read = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[2], 'COUNT', count, 'STREAMS', queue.key, '>')
    local raws = read and read[1][2] or {}
    return raws, {}, #raws == count
end

-- ---- taking

local function is_satisfied(want)
    return #want.ids >= want.messages or want.bytes >= most_bytes
end

-- Most have a payload and nothing else.
local function sort_out(want, raw, deliveries)
    local fields = raw[2]
    if #fields == 2 and fields[1] == 'm' and not is_satisfied(want) then
        return add(want, raw[1], deliveries, fields[2], '')
    end
    local queue, entry = want.queue, entry_of(raw)
    if has_expired(entry) then
        remove(queue, entry.id, entry.size)
        counts.expired = counts.expired + 1
    elseif is_satisfied(want) then
        give_back(queue, entry.id, deliveries - 1)
    else
        add_entry(want, entry, deliveries)
    end
end

-- As many as will be enough, by the sizes of those before.
local function chunk_of(want)
    local chunk = FIRST_CHUNK
    if #want.ids > 0 then
        chunk = math.floor((most_bytes - want.bytes) / (want.bytes / #want.ids))
    end
    return math.max(math.min(chunk, want.messages - #want.ids, PIECE), 1)
end

local function is_tired(want)
    return want.looked >= want.messages + PIECE
end

local function take_from(want, source)
    local more = true
    while more and not want.queue.failure and not is_satisfied(want) and not is_tired(want) do
        local chunk = chunk_of(want)
        local raws, deliveries
        raws, deliveries, more = source(want.queue, chunk)
        want.looked = want.looked + chunk
        for _, raw in ipairs(raws) do
            sort_out(want, raw, deliveries[raw[1]] or 1)
        end
    end
end

-- Who gets less waits to be woken, or, where this call had to stop before the end, is to come again.
local function wait(want)
    local queue = want.queue
    if #want.ids >= want.messages then
        return
    elseif is_satisfied(want) or is_tired(want) then
        ready[#ready + 1] = queue.name
    else
        redis.pcall('SADD', queue.waiting, ARGV[1])
    end
end

-- Before anything is taken: what is not noted would be lost with this boot.
local noted = redis.pcall('SCARD', KEYS[3])
if error_of(noted) then
    return noted
end
local sound = 0
local answer, ids = {}, {}
for n, want in ipairs(wants) do
    take_from(want, returned)
    take_from(want, new)
    answer[n], ids[n] = want.taken, want.ids
    if want.queue.failure then
        fail(want.queue.failure)
    else
        sound = sound + 1
        wait(want)
    end
    if #want.ids > 0 then
        redis.call('SADD', KEYS[3], want.queue.name)
    end
end
finish_all()
if sound == 0 then
    return redis.error_reply(failure)
end
keep({ 0, ids, tail() })
return { 0, answer, tail() }
