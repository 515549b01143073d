-- Takes sessions of a boot out of the registry, unless the boot has no entry among the nodes or is fenced.
--
-- KEYS: nodes, sessions of the boot, users. ARGV: node, boot, the boot's count of renewals when it made the call, the
-- least that this link may have left in the entry, what is in front of a user's name in the key of his sessions, then
-- session and user of each.
-- Answers 0 done | 1 the boot has no entry, is past that count, or has too low a one (renew.lua); nothing was done.
if not may_write() then
    return 1
end
for n = 6, #ARGV, 2 do
    take_out(ARGV[n], redis.call('HGET', KEYS[2], ARGV[n]) or ARGV[n + 1])
end
return 0
