-- Cleans up one piece of what a boot left in the registry: fences its entry, takes some of its sessions out, and with
-- the last of them the entry.
--
-- KEYS: nodes, sessions of the boot, users. ARGV: node, boot, its renewals as they were observed, how many sessions at
-- most, what is in front of a user's name in the key of his sessions. Without observed renewals the boot itself goes.
-- Every piece looks at the entry again: a fenced boot that has renewed has a new count, and is left alone.
-- Answers 0 all is clean, or was by somebody else | 3 more is left | 4 the boot is not as observed; nothing was done.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
    return 0
end
local fenced = ARGV[2] .. ' dead'
if entry ~= fenced then
    local boot, count = read_entry(entry)
    local goes = ARGV[3] == '' and entry:sub(1, #ARGV[2] + 1) == ARGV[2] .. ' '
    if not goes and (boot ~= ARGV[2] or count ~= tonumber(ARGV[3])) then
        return 4
    end
    redis.call('HSET', KEYS[1], ARGV[1], fenced)
end
local piece = redis.call('HRANDFIELD', KEYS[2], ARGV[4], 'WITHVALUES')
for n = 1, #piece, 2 do
    take_out(piece[n], piece[n + 1])
end
if redis.call('EXISTS', KEYS[2]) == 1 then
    return 3
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 0
