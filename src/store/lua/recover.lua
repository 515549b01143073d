-- Gives back some of the messages that this boot has, whatever became of them: a server that is back with older data may
-- have it own what it had settled or returned.
--
-- KEYS: nodes, kept answers of the boot, queues that may have entries of it. ARGV: node, boot, prefix, word of
-- PAYLOAD_READY, how many messages at most.
-- Answers { 0 it has none | 3 more is left, '', tail() } | { 1 the boot has no entry, or a fenced one }.
local boot, entry_state = read_entry(redis.call('HGET', KEYS[1], ARGV[1]))
if boot ~= ARGV[2] or entry_state == 'dead' then
    return { 1 }
end
set_up(ARGV[3], ARGV[4])
local is_more = give_back_piece(ARGV[2], KEYS[3], tonumber(ARGV[5]), false)
return { is_more and 3 or 0, '', tail() }
