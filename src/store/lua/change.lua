-- Carries changes out, each of them whole or not at all.
--
-- KEYS: nodes, kept answers of the boot, queues that may have entries of it. ARGV: node, boot, prefix, word of
-- PAYLOAD_READY, number, answered; how many queues, of each its name, its policy, the first and the last id of its entries
-- below, and how many there are; then operations, each of them a change. They begin with a head, the kind and the queue's
-- place, as in s1; behind it is
--     p (put): in the head, after a colon, its lifetime in ms (0: for ever); then its payload
--     s (settle), r (return), u (return uncounted), j (reject): the entry's id, its size.
-- In front of a change that has not just one, or belongs together, stands a head of its own: c, or t where it does, and
-- how many it has.
-- Answers { 0, a digit (enum change_result) a change, tail() } | { 1 } | { 5 }, as admit() says.
local DONE, FULL, LOST, FAILED = '0', '1', '2', '3'
local DROP = 1000 -- entries that make room for one message
local FEW = 4     -- entries that are looked at without a look at who else has any
local AT_END = 'ERR The stream has exhausted the last possible ID'

set_up(ARGV[3], ARGV[4])
local code, kept, out_of_memory = admit()
if code ~= 0 then
    return type(code) == 'table' and code or { code }
elseif kept then
    return kept
end

-- ---- whose entries are

-- Whether nobody else has any: then whatever is pending is this boot's.
local function is_sole_owner(queue)
    if queue.is_sole == nil then
        local pending = queue.entries > FEW and redis.pcall('XPENDING', queue.key, GROUP)
        local owners = pending and not error_of(pending) and pending[4] or {}
        queue.is_sole = #owners == 1 and owners[1][1] == ARGV[2]
    end
    return queue.is_sole
end

-- They mostly lie close together: one look at what lies between the first and the last finds most.
local function look_up(queue)
    local pending = redis.pcall('XPENDING', queue.key, GROUP, queue.first, queue.last, queue.entries * 2, ARGV[2])
    for _, found in ipairs(error_of(pending) and {} or pending) do
        if queue.owned[found[1]] == nil then
            queue.owned[found[1]] = found[4]
        end
    end
end

-- How often an entry of this boot was delivered; false: it has none of that id.
local function deliveries_of(queue, id)
    if not queue.is_looked_up then
        queue.is_looked_up = true
        look_up(queue)
    end
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
local count = #arguments
local known = {} -- the queues by their places
local heads = {} -- by their texts
local at = 8

for n = 1, tonumber(arguments[7]) do
    local queue = queue_of(arguments[at], read_policy(at + 1))
    queue.first, queue.last, queue.entries = arguments[at + 7], arguments[at + 8], tonumber(arguments[at + 9])
    known[n] = queue
    at = at + 10
end

-- Most are the same.
local function head_at(place)
    local text = arguments[place]
    local head = heads[text]
    if not head then
        local kind, number, lifetime = text:match('^(%l)(%d+):?(%d*)$')
        number = tonumber(number)
        head = { kind = kind, number = number, queue = known[number], lifetime = tonumber(lifetime) }
        heads[text] = head
    end
    return head
end

-- And where the next begins.
local function operation_at(place)
    local head = head_at(place)
    if head.kind == 'p' then
        local message = arguments[place + 1]
        return { put = true, queue = head.queue, lifetime = head.lifetime, message = message,
                 size = #message + OVERHEAD }, place + 2
    end
    return { kind = head.kind, queue = head.queue, id = arguments[place + 1],
             size = tonumber(arguments[place + 2]) }, place + 3
end

local function change_at(place)
    local head = head_at(place)
    local operations, change = 1, {}
    if head.kind == 'c' or head.kind == 't' then
        operations, change.together, place = head.number, head.kind == 't', place + 1
    end
    for n = 1, operations do
        change[n], place = operation_at(place)
        change.puts = change.puts or change[n].put
    end
    return change, place
end

-- ---- judging

-- A stream whose ids have come to their end takes no more. It costs a look at its first and last entries, so a put that
-- stands alone just tries.
local function is_at_end(queue)
    if queue.at_end == nil then
        local reply, info = redis.pcall('XINFO', 'STREAM', queue.key), {}
        for n = 1, error_of(reply) and 0 or #reply, 2 do
            info[reply[n]] = reply[n + 1]
        end
        queue.at_end = (info['last-generated-id'] or ''):find('^18446744073709551615%-1844674407370955%d%d%d%d$') ~= nil
    end
    return queue.at_end
end

local function trouble_with(operation, is_alone)
    local queue = operation.queue
    if queue.failure or operation.put and out_of_memory then
        return queue.failure or out_of_memory
    elseif operation.put and not is_alone and is_at_end(queue) then
        return AT_END
    end
    local dead = (operation.kind == 'j' or operation.put and queue.policy.full == 'dead') and dead_letters_of(queue)
    return dead and dead.failure
end

local function is_over(policy, len, bytes, size)
    return policy.messages > 0 and len >= policy.messages or policy.bytes > 0 and bytes + size > policy.bytes
end

-- What counts against the limits: all, or where the oldest makes way, what is ready.
local function counted(queue)
    if not counts_ready(queue) then
        return queue.len, queue.bytes
    end
    local held = held_of(queue)
    return queue.len - held.count, math.max(queue.bytes - held.bytes, 0)
end

local function is_full(queue, size)
    if not is_over(queue.policy, queue.len, queue.bytes, size) then
        return false
    end
    local len, bytes = counted(queue)
    return is_over(queue.policy, len, bytes, size)
end

-- A room is a queue that refuses as it will be in the course of the change.
local function room_of(rooms, queue)
    local room = rooms[queue]
    if not room then
        room = { queue = queue, len = queue.len, bytes = queue.bytes }
        rooms[queue] = room
    end
    return room
end

local function enter(room, size)
    room.len, room.bytes = room.len + 1, room.bytes + size
end

local function leave(room, size)
    room.len, room.bytes = room.len - 1, room.bytes - size
end

local function look_for_expired(room)
    local queue = room.queue
    local len, bytes = queue.len, queue.bytes
    drop_expired(queue)
    room.len = room.len - (len - queue.len)
    room.bytes = room.bytes - (bytes - queue.bytes)
end

-- Whether a message of that size finds room, or will be made some.
local function finds_room(rooms, queue, size)
    local policy = queue.policy
    if policy.bytes > 0 and size > policy.bytes then
        return false
    elseif counts_ready(queue) then
        return true
    end
    local room = room_of(rooms, queue)
    if is_over(policy, room.len, room.bytes, size) then
        look_for_expired(room)
    end
    local is_found = not is_over(policy, room.len, room.bytes, size)
    enter(room, size)
    return is_found
end

-- What becomes of an entry of this boot.
local function take_in_thought(rooms, operation, deliveries)
    local kind, queue, size = operation.kind, operation.queue, operation.size
    local dies = kind == 'j' or kind == 'r' and is_too_often(queue, deliveries) or
        kind == 'u' and is_too_often(queue, deliveries - 1)
    if kind == 's' or dies then
        leave(room_of(rooms, queue), size)
    end
    if dies and queue.policy.dead ~= '' then
        enter(room_of(rooms, dead_letters_of(queue)), size)
    end
end

-- Goes through the change in thought, to see whether it can be done.
local function walk_through(change)
    local rooms = {}
    local claimed = {} -- by queue, since ids are unique in one
    for _, operation in ipairs(change) do
        local queue, id = operation.queue, operation.id
        claimed[queue] = claimed[queue] or {}
        local deliveries = not operation.put and not claimed[queue][id] and deliveries_of(queue, id)
        if operation.put then
            if not finds_room(rooms, queue, operation.size) then
                return FULL
            end
        elseif deliveries then
            claimed[queue][id] = true
            take_in_thought(rooms, operation, deliveries)
        elseif change.together then
            return LOST
        end
    end
    return DONE
end

local function judge(change)
    for _, operation in ipairs(change) do
        local why = trouble_with(operation, #change == 1)
        if why then
            fail(why)
            return FAILED
        end
    end
    return (change.together or change.puts) and walk_through(change) or DONE
end

-- ---- carrying out

-- False: it can't become a dead letter.
local function drop(queue, entry)
    if has_expired(entry) then
        counts.expired = counts.expired + 1
    elseif queue.policy.full == 'dead' and queue.policy.dead ~= '' then
        return move_to_dead_letters(queue, entry, 'full')
    else
        counts.dropped = counts.dropped + 1
    end
    remove(queue, entry.id, entry.size)
    return true
end

-- A queue that is far over its limits, which have come down, is not emptied at once.
local function make_way(queue, size)
    if not counts_ready(queue) or not is_full(queue, size) then
        return
    end
    drop_expired(queue)
    local dropped, wanted = 0, 1
    local victims = {}
    while dropped < DROP and is_full(queue, size) do
        if #victims == 0 then
            victims = oldest_ready(queue, math.min(wanted, DROP - dropped))
            wanted = wanted * 4
        end
        local victim = table.remove(victims, 1)
        if not victim or not drop(queue, victim) then
            return
        end
        dropped = dropped + 1
    end
end

-- Answers nothing, or an error.
local function put_for(queue, message, lifetime)
    if lifetime > 0 then
        return put(queue, message, 'x', now + lifetime)
    end
    return put(queue, message)
end

local function give_back_or_bury(queue, id, deliveries)
    local raw = is_too_often(queue, deliveries) and redis.call('XRANGE', queue.key, id, id)[1]
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

-- Answers nothing, or an error.
local function carry_out(operation)
    local queue, id = operation.queue, operation.id
    if operation.put then
        make_way(queue, operation.size)
        return put_for(queue, operation.message, operation.lifetime)
    end
    local deliveries = deliveries_of(queue, id)
    if deliveries then
        queue.owned[id] = false
        let_go(queue, operation.size)
        take_away(operation, deliveries)
    end
end

local function make(change)
    local result = judge(change)
    for _, operation in ipairs(result == DONE and change or {}) do
        local why = carry_out(operation)
        if why then
            fail(why)
            return FAILED
        end
    end
    return result
end

-- ---- the usual changes, which are many: a message that finds room, or one that is settled

local function put_at(place, head)
    local queue, message = head.queue, arguments[place + 1]
    if queue.failure or out_of_memory or is_full(queue, #message + OVERHEAD) then
        return make((change_at(place)))
    end
    local why = put_for(queue, message, head.lifetime)
    if why then
        fail(why)
    end
    return why and FAILED or DONE
end

local function settle_at(place, head)
    local queue, id = head.queue, arguments[place + 1]
    local size = tonumber(arguments[place + 2])
    if queue.failure then
        return make((change_at(place)))
    elseif queue.owned[id] == nil and is_sole_owner(queue) then
        settle(queue, id, size)
    elseif deliveries_of(queue, id) then
        remove(queue, id, size)
    else
        return DONE
    end
    queue.owned[id] = false
    let_go(queue, size)
    return DONE
end

local results = {}
while at <= count do
    local head = head_at(at)
    if head.kind == 'p' then
        results[#results + 1] = put_at(at, head)
        at = at + 2
    elseif head.kind == 's' then
        results[#results + 1] = settle_at(at, head)
        at = at + 3
    else
        local change
        change, at = change_at(at)
        results[#results + 1] = make(change)
    end
end
finish_all()
local answer = { 0, table.concat(results), tail() }
keep(answer)
return answer
