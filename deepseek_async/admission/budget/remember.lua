-- Writes back rows of other holders that Redis has lost; the later version of a row wins.
-- KEYS: holders, changes. ARGV: expiry (s), then per row: holder, number, allotted, spent.
local holders, changes, max = KEYS[1], KEYS[2], math.max

local function numbers(text)
  local found = {}
  for each in string.gmatch(text or '', '%d+') do found[#found + 1] = tonumber(each) end
  return found
end

local function joined(...)
  local texts = {}
  for index, amount in ipairs({...}) do texts[index] = string.format('%.0f', amount) end
  return table.concat(texts, ' ')
end

local totals = numbers(redis.call('HGET', holders, ''))
local version, held, spent, open = totals[1] or 0, totals[2] or 0, totals[3] or 0, totals[4] or 0
for index = 2, #ARGV, 4 do
  local holder = ARGV[index]
  local number, has, used = tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2]), tonumber(ARGV[index + 3])
  local row = numbers(redis.call('HGET', holders, holder))
  local last, had, had_used = row[1] or 0, row[2] or 0, row[3] or 0
  if number > last then
    held = held + max(has, used) - max(had, had_used)
    spent = spent + used - had_used
    if had > had_used then open = open - 1 end
    if has > used then open = open + 1 end
    version = version + 1
    redis.call('HSET', holders, holder, joined(number, has, used))
    redis.call('ZADD', changes, joined(version), holder)
  end
end
redis.call('HSET', holders, '', joined(version, held, spent, open))
for _, key in ipairs(KEYS) do
  if redis.call('TTL', key) == -1 then redis.call('EXPIRE', key, ARGV[1]) end
end
return version
