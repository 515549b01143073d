-- What the scripts have in common that give back what a boot has: CMake puts it in front of them, behind queue.lua.

-- Some of what a boot has goes back to its queue. It has been delivered, so its count stays. `noted`: the key of the
-- queues that may have entries of it. A consumer that is deleted takes along what is still its own. Answers how many, but
-- at least one.
local function give_back_some(name, boot, noted, most, going)
    local key = prefix .. name
    local pending = redis.pcall('XPENDING', key, GROUP, '-', '+', most, boot)
    local ids = {}
    for _, found in ipairs(error_of(pending) and {} or pending) do
        ids[#ids + 1] = found[1]
    end
    local count = #ids
    if count > 0 then
        ids[count + 1] = 'JUSTID'
        redis.call('XCLAIM', key, GROUP, FREE, 0, unpack(ids))
        wake({ name = name, waiting = prefix .. 'w:' .. name }, count, going)
    end
    if count < most then
        if going then
            redis.pcall('XGROUP', 'DELCONSUMER', key, GROUP, boot)
        end
        redis.pcall('HDEL', prefix .. 'i:' .. name, boot)
        redis.call('SREM', noted, name)
    end
    return math.max(count, 1)
end

-- Of so many entries of the queues that a boot may have some of. Answers whether there are more.
local function give_back_piece(boot, noted, most, going)
    local left = most
    local names = redis.pcall('SRANDMEMBER', noted, left)
    -- A key that somebody has put something else into must not keep the rest from being cleaned.
    for _, name in ipairs(error_of(names) and {} or names) do
        if left > 0 then
            left = left - give_back_some(name, boot, noted, left, going)
        end
    end
    local queues_left = redis.pcall('SCARD', noted)
    return not error_of(queues_left) and queues_left > 0
end

