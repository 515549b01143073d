-- Cleans up one piece of what a boot left: fences its entry, takes some of its sessions out of the registry; when none is
-- left, gives some of the messages that it had taken back to their queues, and with the last of them takes the entry out.
--
-- KEYS: nodes, sessions of the boot, users, kept answers of the boot, queues that may have entries of it, which version of
-- the bindings each boot acts by. ARGV: node, boot, its renewals as they were observed, how many sessions or messages at
-- most, what is in front of a user's name in the key of his sessions, prefix, word of PAYLOAD_READY. Without observed
-- renewals the boot itself goes.
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

set_up(ARGV[6], ARGV[7])
if give_back_piece(ARGV[2], KEYS[5], tonumber(ARGV[4]), true) then
    return 3
end
redis.call('DEL', KEYS[4])
redis.pcall('HDEL', KEYS[6], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[1])
return 0
