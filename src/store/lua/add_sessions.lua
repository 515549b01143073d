-- Adds sessions of a boot to the registry, unless the boot has no entry among the nodes or is fenced.
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
    redis.pcall('HSET', KEYS[1], ARGV[1], held .. ARGV[3])
end
local failure
for n = 6, #ARGV, 2 do
    local session, user = ARGV[n], ARGV[n + 1]
    -- A key that somebody has put something else into is told of, and does not keep the others out.
    local added = redis.pcall('SADD', ARGV[5] .. user, session)
    if type(added) == 'table' then
        failure = added
    else
        redis.call('HSET', KEYS[2], session, user)
        redis.call('ZADD', KEYS[3], 0, user)
    end
end
return failure or 0
