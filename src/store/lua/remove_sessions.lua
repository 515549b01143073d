-- Takes sessions of a boot out of the registry, unless the boot has no entry among the nodes or is fenced.
--
-- KEYS: nodes, sessions of the boot, users. ARGV: node, boot, the boot's count of renewals when it made the call, the
-- least that this link may have left in the entry, what is in front of a user's name in the key of his sessions, then
-- session and user of each.
-- A call that a broken link left behind may be carried out after those of the next link, and would undo them: what has
-- a lower count than the entry is refused, and the first of the next link, which has a higher one, raises the entry's.
-- Answers 0 done | 1 the boot has no entry, is past that count, or has too low a one (renew.lua); nothing was done.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
local held = ARGV[2] .. ' '
local count = entry and entry:sub(1, #held) == held and tonumber(entry:sub(#held + 1))
if not count or count > tonumber(ARGV[3]) or count < tonumber(ARGV[4]) then
    return 1
end
if count < tonumber(ARGV[3]) then
    -- A server without memory left refuses this, and still takes sessions out.
    redis.pcall('HSET', KEYS[1], ARGV[1], held .. ARGV[3])
end
for n = 6, #ARGV, 2 do
    local session = ARGV[n]
    local user = redis.call('HGET', KEYS[2], session) or ARGV[n + 1]
    redis.pcall('SREM', ARGV[5] .. user, session)
    if redis.call('EXISTS', ARGV[5] .. user) == 0 then
        redis.call('ZREM', KEYS[3], user)
    end
    redis.call('HDEL', KEYS[2], session)
end
return 0
