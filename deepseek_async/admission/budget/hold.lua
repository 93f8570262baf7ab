-- Records what one holder was allotted and has spent, and allots more if available.
-- KEYS: ground, holders, changes, spending; see store_redis.py.
-- ARGV: day, holder, number of this report, allotted, spent, the birth and the version that the holder has seen, the
-- version up to which it knows the others, a name for a new birth, quiet (ms), maximum rows to return, expiry of holders
-- and of spending (s), cap, least, wanted (0: nothing), then per field of spending: name, calls, spent.
-- Amounts are below 2^53, the range of Lua's integers. Requires Redis 5: effects are replicated instead of the script,
-- which reads the time.
local floor, max, min = math.floor, math.max, math.min
local ground, holders, changes, spending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local day, holder, birth = ARGV[1], ARGV[2], ARGV[9]
local function given(index) return tonumber(ARGV[index]) end
local number, allotted, spent = given(3), given(4), given(5)
local seen_birth, seen, heard, quiet, most, kept, kept_spending = ARGV[6], given(7), given(8), given(10), given(11), given(12), given(13)
local cap, least, wanted = given(14), given(15), given(16)

local function whole(amount) return string.format('%.0f', amount) end

local function numbers(text)
  local found = {}
  for each in string.gmatch(text or '', '%d+') do found[#found + 1] = tonumber(each) end
  return found
end

local function keep(key, seconds)
  if redis.call('TTL', key) == -1 then redis.call('EXPIRE', key, seconds) end
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)

-- Another Redis process may have less data: it was restarted, or is a replica that has taken over.
local told, run = redis.pcall('INFO', 'server'), ''
if type(told) == 'string' then run = string.match(told, 'run_id:(%w+)') or '' end

local known = redis.call('HMGET', ground, 'born', 'since', 'run', 'day')
local born, since, ran, newest = known[1] or '', tonumber(known[2] or 0), known[3] or '', known[4] or ''
local text = redis.call('HGET', holders, '')
local totals = numbers(text)
local version, held, all_spent, open = totals[1] or 0, totals[2] or 0, totals[3] or 0, totals[4] or 0

-- Lost: never present here, or less than a holder has seen. Nothing is allotted until all had time to report.
local lost = born == '' or (run ~= '' and ran ~= '' and run ~= ran) or (not text and newest >= day)
  or (seen_birth == born and seen > version)
if lost then born = birth end
local moved = lost or since > now or (run ~= '' and run ~= ran)
if lost or since > now then since = now end
local waits = max(0, since + quiet - now)
local estranged = seen_birth ~= '' and seen_birth ~= born

local mine = numbers(redis.call('HGET', holders, holder))
local last, had, had_spent = mine[1] or 0, mine[2] or 0, mine[3] or 0
local was_held = max(had, had_spent)
local others_held, others_spent = held - was_held, all_spent - had_spent

local added, refused = 0, 0
if number > last then
  if wanted > 0 then
    spent = max(spent, had_spent)
    local remaining = cap - others_held - allotted
    -- ledger.granted
    if least <= remaining then
      if waits > 0 or estranged then
        refused = 1
      else
        local sharers = open
        if had <= had_spent then sharers = sharers + 1 end
        local part = 16 * sharers
        added = max(least, min(wanted, (remaining - remaining % part) / part))
      end
    end
  end
  local has = allotted + added
  held, all_spent = others_held + max(has, spent), others_spent + spent
  if had > had_spent then open = open - 1 end
  if has > spent then open = open + 1 end
  version = version + 1
  redis.call('HSET', holders, '', table.concat({whole(version), whole(held), whole(all_spent), whole(open)}, ' '),
    holder, table.concat({whole(number), whole(has), whole(spent)}, ' '))
  redis.call('ZADD', changes, whole(version), holder)
  for index = 17, #ARGV, 3 do
    redis.call('HINCRBY', spending, 'calls ' .. ARGV[index], ARGV[index + 1])
    redis.call('HINCRBY', spending, 'spent ' .. ARGV[index], ARGV[index + 2])
  end
  keep(holders, kept)
  keep(changes, kept)
  if #ARGV > 16 then keep(spending, kept_spending) end
end

if moved then
  if run == '' then run = ran end
  redis.call('HSET', ground, 'born', born, 'since', whole(since), 'run', run)
  keep(ground, kept_spending)
end
if day > newest then
  redis.call('HSET', ground, 'day', day)
  redis.call('EXPIRE', ground, kept_spending)
end

-- Rows of the other holders, so that they survive a loss of Redis.
local rows, reached = {}, version
if not estranged then
  if seen_birth ~= born then heard = 0 end
  local found = redis.call('ZRANGEBYSCORE', changes, '(' .. whole(heard), '+inf', 'WITHSCORES', 'LIMIT', 0, most)
  for index = 1, #found, 2 do
    if found[index] ~= holder then
      local row = redis.call('HGET', holders, found[index])
      if row then rows[#rows + 1], rows[#rows + 2] = found[index], row end
    end
  end
  if #found == 2 * most then reached = tonumber(found[#found]) end
end
return {born, version, reached, added, refused, waits, estranged and 1 or 0, others_held, others_spent, rows}
