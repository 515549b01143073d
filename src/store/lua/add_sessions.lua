-- Adds sessions of a boot to the registry, unless the boot has no entry among the nodes or is fenced.
--
-- KEYS: nodes, sessions of the boot, users. ARGV: node, boot, the boot's count of renewals when it made the call, the
-- least that this link may have left in the entry, what is in front of a user's name in the key of his sessions, then
-- session and user of each.
-- Answers 0 done | 1 the boot has no entry, is past that count, or has too low a one (renew.lua); nothing was done.
if not may_write() then
    return 1
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
