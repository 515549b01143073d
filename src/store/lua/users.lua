-- One page of the users who are online, in the order of their names' bytes.
--
-- KEYS: users. ARGV: the name behind which the page begins (empty: from the first), how many at most, what is in front
-- of a user's name in the key of his sessions.
-- Answers name, number of sessions, name, number of sessions and so on. Names without a session are passed over: their last may
-- have been taken out by another application that shares the keys.
local after = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local limit = tonumber(ARGV[2])
local page = {}
while #page < limit * 2 do
    local names = redis.call('ZRANGEBYLEX', KEYS[1], after, '+', 'LIMIT', 0, limit - #page / 2)
    for _, name in ipairs(names) do
        local sessions = redis.pcall('SCARD', ARGV[3] .. name)
        if type(sessions) == 'number' and sessions > 0 then
            page[#page + 1] = name
            page[#page + 1] = sessions
        end
    end
    if #names == 0 then
        break
    end
    after = '(' .. names[#names]
end
return page
