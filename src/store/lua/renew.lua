-- Renews the entry of a boot among the nodes, and tells all entries as they are then.
--
-- KEYS: nodes. ARGV: node, boot, the count of renewals that the entry gets, the least that this link may have left.
-- An entry is "<boot> <renewals>", or "<boot> dead" once the boot is fenced. One that is neither counts as none. The
-- count never goes back: a renewal that a broken link left behind may be carried out after those of the next link. Where
-- the boot was buried meanwhile, such a renewal makes an entry with too low a count, which counts as none.
-- Answers { 0 done | 1 it had no entry, or a fenced one, and has a new one | 2 another boot holds the name, all entries }.
local boot, state = read_entry(redis.call('HGET', KEYS[1], ARGV[1]))
if boot and boot ~= ARGV[2] then
    return { 2, redis.call('HGETALL', KEYS[1]) }
end
local count = state ~= 'dead' and state
if not count or count < tonumber(ARGV[3]) then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
end
return { (count and count >= tonumber(ARGV[4])) and 0 or 1, redis.call('HGETALL', KEYS[1]) }
