-- Bindings of queues to topics (queue_store.h): makes one, ends one, or tells what has changed.
--
-- KEYS: nodes, bindings (queue -> topic), their state (life, version), the queues that changed last, newest first, and
-- which version each boot acts by. ARGV: node, boot, prefix, and
--     bind, queue, topic
--     unbind, queue, ''
--     look, the version that the boot acts by, ''.
-- Answers { 0, life, version, everywhere, 1 if this is all or 0, { queue, topic or '', and so on } } | { 1 the boot has no
-- entry, or a fenced one } | { 2 the queue is bound to another topic }.
local CHANGES = 1000 -- that a boot may have missed; after more of them it is told all

local boot, entry_state = read_entry(redis.call('HGET', KEYS[1], ARGV[1]))
if boot ~= ARGV[2] or entry_state == 'dead' then
    return { 1 }
end

local state = redis.call('HMGET', KEYS[3], 'life', 'version')
local life, version = tonumber(state[1]) or 0, tonumber(state[2]) or 0

-- Versions of one life are microseconds of its beginning and more, so that those of another are others.
local function begin_life()
    local time = redis.call('TIME')
    life = time[1] * 1000000 + time[2]
    version = life
end

-- Behind another write, which a server without memory left refuses where it must.
local function note_change(queue)
    if life == 0 or version < life then
        begin_life()
    end
    version = version + 1
    redis.call('HSET', KEYS[3], 'life', life, 'version', version)
    redis.call('LPUSH', KEYS[4], queue)
    redis.call('LTRIM', KEYS[4], 0, CHANGES - 1)
end

local function is_of_this_life(number)
    return number >= life and number <= version
end

local function acting_of(name)
    local acting = tonumber(redis.call('HGET', KEYS[5], name) or 0) or 0
    return is_of_this_life(acting) and acting or 0
end

local function everywhere()
    local lowest = version
    local nodes = redis.call('HGETALL', KEYS[1])
    for n = 2, #nodes, 2 do
        local name, how = read_entry(nodes[n])
        if name and how ~= 'dead' then
            lowest = math.min(lowest, acting_of(name))
        end
    end
    return lowest
end

-- Whether the queue is bound to another topic. Where the state is lost, a life begins.
local function bind(queue, topic)
    local bound = redis.call('HGET', KEYS[2], queue)
    if bound and bound ~= topic then
        return true
    elseif not bound then
        redis.call('HSET', KEYS[2], queue, topic)
    end
    if not bound or version == 0 then
        note_change(queue)
    end
end

local function unbind(queue)
    if redis.call('HDEL', KEYS[2], queue) == 1 then
        note_change(queue)
    end
    redis.call('UNLINK', ARGV[3] .. queue, ARGV[3] .. 'i:' .. queue, ARGV[3] .. 'w:' .. queue)
end

-- What a server without memory left refuses is not refused behind another write.
local function note_acting(acting)
    if not is_of_this_life(acting) then
        redis.call('HDEL', KEYS[5], ARGV[2])
    elseif acting_of(ARGV[2]) ~= acting then
        redis.call('HDEL', KEYS[5], '')
        redis.call('HSET', KEYS[5], ARGV[2], acting)
    end
end

local function changes_of_last(count)
    local told, changes = {}, {}
    for _, queue in ipairs(redis.call('LRANGE', KEYS[4], 0, count - 1)) do
        if not told[queue] then
            told[queue] = true
            changes[#changes + 1] = queue
            changes[#changes + 1] = redis.call('HGET', KEYS[2], queue) or ''
        end
    end
    return changes
end

-- Whether it is all there is, and what has changed.
local function look(acting)
    note_acting(acting)
    if acting == version then
        return 0, {}
    elseif is_of_this_life(acting) and redis.call('LLEN', KEYS[4]) >= version - acting then
        return 0, changes_of_last(version - acting)
    end
    return 1, redis.call('HGETALL', KEYS[2])
end

local complete, changes = 0, {}
if ARGV[4] == 'look' then
    complete, changes = look(tonumber(ARGV[5]))
elseif ARGV[4] == 'unbind' then
    unbind(ARGV[5])
elseif bind(ARGV[5], ARGV[6]) then
    return { 2 }
end
return { 0, life, version, everywhere(), complete, changes }
