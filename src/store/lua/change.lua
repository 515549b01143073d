-- Carries changes out, each of them whole or not at all.
--
-- KEYS: nodes, kept answers of the boot, queues that may have entries of it. ARGV: node, boot, prefix, word of
-- PAYLOAD_READY, number, answered; how many queues, of each its name, its policy, the first and the last id of its entries
-- below, and how many there are; then operations, each of them a change, of four arguments: kind, the queue's place, and
--     p (put): its lifetime in ms (0: for ever), its payload
--     s (settle), r (return), u (return uncounted), j (reject): the entry's id, its size.
-- In front of a change that has not just one, or belongs together, stands c, or t where it does, how many it has, and two
-- that are empty.
-- Answers { 0, a digit (enum change_result) a change, tail() } | { 1 } | { 5 }, as admit() says.
local DONE, FULL, LOST, FAILED = '0', '1', '2', '3'

set_up(ARGV[3], ARGV[4])
local code, kept, out_of_memory = admit()
if code ~= 0 then
    return type(code) == 'table' and code or { code }
elseif kept then
    return kept
end

-- ---- whose entries are

-- They mostly lie close together: one look at what lies between the first and the last finds most.
local function look_up(queue, first, last, count)
    local pending = redis.pcall('XPENDING', queue.key, GROUP, first, last, count * 2, ARGV[2])
    for _, found in ipairs(error_of(pending) and {} or pending) do
        queue.owned[found[1]] = found[4]
    end
end

-- How often an entry of this boot was delivered; false: it has none of that id.
local function deliveries_of(queue, id)
    local deliveries = queue.owned[id]
    if deliveries == nil then
        local pending = redis.pcall('XPENDING', queue.key, GROUP, id, id, 1, ARGV[2])
        deliveries = not error_of(pending) and pending[1] and pending[1][4] or false
        queue.owned[id] = deliveries
    end
    return deliveries
end

-- ---- what is asked for

local arguments = ARGV
local known = {} -- the queues by their places
local at = 8

for n = 1, tonumber(arguments[7]) do
    local queue = queue_of(arguments[at], read_policy(at + 1))
    known[tostring(n)] = queue
    if arguments[at + 9] ~= '0' and not queue.failure then
        look_up(queue, arguments[at + 7], arguments[at + 8], tonumber(arguments[at + 9]))
    end
    at = at + 10
end

local function operation_at(place)
    local kind, queue = arguments[place], known[arguments[place + 1]]
    if kind == 'p' then
        local message = arguments[place + 3]
        return { put = true, queue = queue, lifetime = tonumber(arguments[place + 2]), message = message,
                 size = #message + OVERHEAD }
    end
    return { kind = kind, queue = queue, id = arguments[place + 2], size = tonumber(arguments[place + 3]) }
end

local function change_at(place)
    local kind = arguments[place]
    if kind ~= 'c' and kind ~= 't' then
        return { operation_at(place) }
    end
    local change = { together = kind == 't' }
    for n = 1, tonumber(arguments[place + 1]) do
        change[n] = operation_at(place + 4 * n)
    end
    return change, place + 4 + 4 * #change
end

-- ---- judging

local function trouble_with(operation)
    local queue = operation.queue
    if queue.failure or operation.put and out_of_memory then
        return queue.failure or out_of_memory
    end
    local dead = (operation.kind == 'j' or operation.put and queue.policy.full == 'dead') and dead_letters_of(queue)
    return dead and dead.failure
end

-- ---- room

local function is_over(room, size)
    local policy = room.queue.policy
    return policy.messages > 0 and room.len + 1 > policy.messages or
        policy.bytes > 0 and room.bytes + size > policy.bytes
end

-- The next that makes way: the oldest that is ready, or what the change itself has put before.
local function next_victim(room)
    if room.at == #room.oldest and not room.all then
        local wanted = #room.oldest * 4 + 1
        room.oldest = oldest_ready(room.queue, wanted)
        room.all = #room.oldest < wanted
    end
    if room.at < #room.oldest then
        room.at = room.at + 1
        return room.oldest[room.at]
    end
    room.own_at = room.own_at + 1
    local own = room.own[room.own_at]
    if own then
        own.makes_way = true
    end
    return own
end

local function look_for_expired(room)
    local queue = room.queue
    local len, bytes = queue.len, queue.bytes
    drop_expired(queue)
    room.len = room.len - (len - queue.len)
    room.bytes = room.bytes - (bytes - queue.bytes)
end

-- Whether a message of that size finds room. A queue that is far over its limits, which have come down, is not emptied
-- at once.
local function make_way(room, size)
    local policy = room.queue.policy
    if is_over(room, size) then
        look_for_expired(room)
    end
    if policy.bytes > 0 and size > policy.bytes then
        return false
    end
    local dropped = 0
    while is_over(room, size) and dropped < DROP do
        local victim = policy.full ~= 'refuse' and next_victim(room)
        if not victim then
            return false
        end
        dropped = dropped + 1
        room.len = room.len - 1
        room.bytes = room.bytes - victim.size
    end
    return true
end

local function room_of(rooms, queue)
    local room = rooms[queue]
    if not room then
        room = { queue = queue, len = queue.len, bytes = queue.bytes, oldest = {}, at = 0, own = {}, own_at = 0 }
        rooms[queue] = room
    end
    return room
end

-- Goes through the change in thought, to see whether it can be done; who has to make way is in the rooms then.
local function walk_through(change, rooms)
    local claimed = {}
    for _, operation in ipairs(change) do
        local queue, id = operation.queue, operation.id
        if operation.put then
            local room = room_of(rooms, queue)
            if not make_way(room, operation.size) then
                return FULL
            end
            room.own[#room.own + 1] = operation
            room.len, room.bytes = room.len + 1, room.bytes + operation.size
        elseif deliveries_of(queue, id) and claimed[id] ~= queue then
            claimed[id] = queue
            if operation.kind == 's' or operation.kind == 'j' then
                local room = room_of(rooms, queue)
                room.len, room.bytes = room.len - 1, room.bytes - operation.size
            end
        elseif change.together then
            return LOST
        end
    end
    return DONE
end

local function judge(change, rooms)
    for _, operation in ipairs(change) do
        local why = trouble_with(operation)
        if why then
            fail(why)
            return FAILED
        end
    end
    return walk_through(change, rooms)
end

-- ---- carrying out

local function drop(queue, entry)
    if has_expired(entry) then
        remove(queue, entry.id, entry.size)
        counts.expired = counts.expired + 1
    elseif queue.policy.full == 'dead' and queue.policy.dead ~= '' then
        move_to_dead_letters(queue, entry, 'full')
    else
        remove(queue, entry.id, entry.size)
        counts.dropped = counts.dropped + 1
    end
end

local function drop_victims(rooms)
    for queue, room in pairs(rooms) do
        for n = 1, room.at do
            drop(queue, room.oldest[n])
        end
    end
end

local function put_for(queue, message, lifetime)
    if lifetime > 0 then
        return put(queue, message, 'x', now + lifetime)
    end
    return put(queue, message)
end

-- All or none: a stream that has come to its last id, say, takes no more.
local function put_all(change)
    for n, operation in ipairs(change) do
        if operation.put then
            local why = put_for(operation.queue, operation.message, operation.lifetime)
            if why then
                fail(why)
                for i = 1, n - 1 do
                    if change[i].put then
                        remove(change[i].queue, change[i].id, change[i].size)
                    end
                end
                return false
            end
            operation.id = operation.queue.newest
        end
    end
    return true
end

local function drop_own(change)
    for _, operation in ipairs(change) do
        if operation.makes_way then
            drop(operation.queue, { id = operation.id, m = operation.message, size = operation.size })
        end
    end
end

local function give_back_or_bury(queue, id, deliveries)
    local most = queue.policy.deliveries
    local raw = most > 0 and deliveries >= most and redis.call('XRANGE', queue.key, id, id)[1]
    if not (raw and move_to_dead_letters(queue, entry_of(raw), 'max-deliveries')) then
        give_back(queue, id, deliveries)
    end
end

local function reject(queue, id, size)
    local raw = queue.policy.dead ~= '' and redis.call('XRANGE', queue.key, id, id)[1]
    if raw then
        move_to_dead_letters(queue, entry_of(raw), 'rejected')
    else
        remove(queue, id, size)
    end
end

local function take_away(operation, deliveries)
    local queue, id, kind = operation.queue, operation.id, operation.kind
    if kind == 's' then
        remove(queue, id, operation.size)
    elseif kind == 'r' then
        give_back_or_bury(queue, id, deliveries)
    elseif kind == 'u' then
        give_back_or_bury(queue, id, math.max(deliveries - 1, 0))
    else
        reject(queue, id, operation.size)
    end
end

local function make(change)
    local rooms = {}
    local result = judge(change, rooms)
    if result ~= DONE then
        return result
    end
    drop_victims(rooms)
    if not put_all(change) then
        return FAILED
    end
    drop_own(change)
    for _, operation in ipairs(change) do
        local deliveries = not operation.put and deliveries_of(operation.queue, operation.id)
        if deliveries then
            operation.queue.owned[operation.id] = false
            take_away(operation, deliveries)
        end
    end
    return DONE
end

-- ---- the usual changes, which are many: a message that finds room, or one that is settled

local function is_roomy(queue, size)
    local policy = queue.policy
    return (policy.messages == 0 or queue.len < policy.messages) and
        (policy.bytes == 0 or queue.bytes + size <= policy.bytes)
end

local function put_at(place, queue)
    local message = arguments[place + 3]
    if queue.failure or out_of_memory or not is_roomy(queue, #message + OVERHEAD) then
        return make(change_at(place))
    end
    local why = put_for(queue, message, tonumber(arguments[place + 2]))
    if why then
        fail(why)
    end
    return why and FAILED or DONE
end

local function settle_at(place, queue)
    local id = arguments[place + 2]
    if queue.failure or not queue.owned[id] then
        return make(change_at(place))
    end
    queue.owned[id] = false
    remove(queue, id, tonumber(arguments[place + 3]))
    return DONE
end

local usual = { p = put_at, s = settle_at }
local results = {}
while at <= #arguments do
    local make_at = usual[arguments[at]]
    if make_at then
        results[#results + 1] = make_at(at, known[arguments[at + 1]])
        at = at + 4
    else
        local change, next_at = change_at(at)
        results[#results + 1] = make(change)
        at = next_at or at + 4
    end
end
finish_all()
local answer = { 0, table.concat(results), tail() }
keep(answer)
return answer
