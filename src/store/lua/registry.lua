-- What the scripts that write have in common: CMake puts it in front of each script.
--
-- Their KEYS: nodes, sessions of the boot, users (renew.lua: nodes alone). Their ARGV begin with node and boot.

-- The boot and the state of an entry among the nodes: 'dead', or the count of renewals, which is below 2^53 as in
-- redis_answer.c. Nothing where it is no entry.
local function read_entry(entry)
    local boot, state = (entry or ''):match('^(%S+) (%w+)$')
    if state == 'dead' then
        return boot, state
    end
    local count = state and state:match('^%d+$') and tonumber(state)
    if count and count < 9007199254740992 then
        return boot, count
    end
end

-- Whether a call that adds or removes sessions may do it. Its ARGV[3]: the boot's count of renewals when it made the
-- call, ARGV[4]: the least that this link may have left in the entry.
-- A call that a broken link left behind may be carried out after those of the next link, and would undo them: what has
-- a lower count than the entry is refused, and the first of the next link, which has a higher one, raises the entry's.
local function may_write()
    local boot, count = read_entry(redis.call('HGET', KEYS[1], ARGV[1]))
    local made = tonumber(ARGV[3])
    if boot ~= ARGV[2] or count == 'dead' or count > made or count < tonumber(ARGV[4]) then
        return false
    end
    if count < made then
        -- A server without memory left refuses this, and still takes sessions out.
        redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
    end
    return true
end

-- Takes a session out. ARGV[5]: what is in front of a user's name in the key of his sessions.
local function take_out(session, user)
    -- A key that somebody has put something else into must not keep the rest from being cleaned.
    redis.pcall('SREM', ARGV[5] .. user, session)
    if redis.call('EXISTS', ARGV[5] .. user) == 0 then
        redis.call('ZREM', KEYS[3], user)
    end
    redis.call('HDEL', KEYS[2], session)
end

