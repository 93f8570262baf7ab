-- Processes one heartbeat: group.py and division.py, line by line, executed atomically by Redis.
-- KEYS[1]: a hash; field "" holds the group, every other field a member.
-- ARGV: lease, gone, quiet, expiry of the key in seconds, then the heartbeat in the order of BEAT.
-- Requires Redis 5: effects are replicated instead of the script, which reads the time.
local BEAT = {'member', 'number', 'in_flight', 'people', 'bulk', 'most', 'sent', 'taken', 'refused', 'told', 'limit',
  'current', 'share', 'held', 'heard_at', 'window', 'ceiling', 'heard', 'apart_until'}
local GROUP = {'born', 'gathers', 'lost', 'window', 'ceiling', 'leader', 'apart_until', 'sent', 'taken', 'refused',
  'heard', 'told', 'limit', 'current'}
local MEMBER = {'seen', 'number', 'in_flight', 'people', 'bulk', 'most', 'share', 'held', 'owed', 'sent', 'taken',
  'refused', 'told'}
local LONGEST, BULK_SHARE, SPARE, HELD, FORGOTTEN = 1000, 10, 8, 2000, 20000

local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local function named(names, values)
  local made = {}
  for index, name in ipairs(names) do made[name] = values[index] end
  return made
end

local function packed(names, record)
  local values = {}
  for index, name in ipairs(names) do values[index] = record[name] end
  return cmsgpack.pack(values)
end

local lease, gone, quiet = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local beat = {member = ARGV[5]}
for index = 2, #BEAT do beat[BEAT[index]] = tonumber(ARGV[4 + index]) end

-- Milliseconds.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)

local group, members, count = nil, {}, 0
local stored = redis.call('HGETALL', KEYS[1])
for index = 1, #stored, 2 do
  local values = cmsgpack.unpack(stored[index + 1])
  if stored[index] == '' then
    group = named(GROUP, values)
  else
    members[stored[index]] = named(MEMBER, values)
    count = count + 1
  end
end
if group == nil then
  group = {gathers = false, lost = false, leader = ''}
  for _, name in ipairs(GROUP) do if group[name] == nil then group[name] = 0 end end
end

-- group.py

local function still_in_flight(member)
  local silent = now - member.seen
  if silent < lease then return member.in_flight end
  return ceil(member.in_flight * max(0, gone - silent) / (gone - lease))
end

local function counted(member)
  if now - member.seen < lease then return max(member.share, member.held, member.in_flight) end
  return still_in_flight(member)
end

local function counted_of_others()
  local sum = 0
  for name, member in pairs(members) do
    if name ~= beat.member then sum = sum + counted(member) end
  end
  return sum
end

local function forget()
  local silent = {}
  for name, member in pairs(members) do
    local passed = now - member.seen
    if passed < -lease or passed >= gone then silent[#silent + 1] = name end
  end
  for _, name in ipairs(silent) do
    members[name] = nil
    count = count - 1
    redis.call('HDEL', KEYS[1], name)
  end
end

local function look_back()
  if count == 0 then
    group.born, group.window = now, 0
    group.gathers = beat.share > 0 or quiet > 0
    group.lost = group.gathers
    if quiet > 0 and beat.share == 0 then group.born = group.born - max(0, lease - quiet) end
    return
  end
  local newest = nil
  for _, member in pairs(members) do
    if newest == nil or member.seen > newest then newest = member.seen end
  end
  if beat.heard_at > newest or (quiet > 0 and now - newest >= quiet) then
    group.lost = group.lost and now - group.born < lease
    group.born, group.gathers = now, true
  end
end

local function told()
  local member = members[beat.member]
  if member == nil then
    member = {seen = now, share = 0, owed = 0}
    members[beat.member] = member
    count = count + 1
  else
    for _, name in ipairs({'sent', 'taken', 'refused', 'told'}) do
      group[name] = group[name] + max(0, beat[name] - member[name])
    end
    if beat.told > member.told then group.limit, group.current = beat.limit, beat.current end
  end
  for _, name in ipairs({'number', 'in_flight', 'held', 'people', 'bulk', 'most', 'sent', 'taken', 'refused', 'told'}) do
    member[name] = beat[name]
  end
  return member
end

local function hear_of_window(is_new)
  if group.leader ~= beat.member then
    local leader = members[group.leader]
    local lives = leader ~= nil and now - leader.seen < lease
    local idle = leader ~= nil and leader.people == 0 and leader.bulk == 0 and leader.in_flight == 0
    local young = group.window == 0 or now - group.born < lease
    local knows_more = young and is_new and beat.share > 0 and beat.window > group.window
    if not knows_more and lives and not (idle and (beat.people ~= 0 or beat.bulk ~= 0)) then return end
    group.leader = beat.member
    if knows_more then
      group.gathers, group.lost = true, true
    elseif group.window ~= 0 and beat.share == 0 then
      return
    end
  end
  local least = 1
  if group.lost and now - group.born < lease then least = group.window end
  group.window, group.ceiling, group.apart_until = max(least, beat.window), beat.ceiling, beat.apart_until
  group.heard = beat.heard
  if beat.heard < 0 then group.heard = group.refused end
end

local function add_claim()
  if not group.lost or beat.share == 0 or now - group.born >= lease then return end
  group.window = max(group.window, counted_of_others() + max(beat.share, beat.in_flight))
  if group.ceiling ~= 0 then group.ceiling = max(group.ceiling, group.window) end
end

local function gathers()
  return group.gathers and now - group.born < lease
end

local function granted(free)
  if gathers() then return min(free, max(beat.share, beat.in_flight, 1)) end
  return free
end

local function moves(member, part)
  return member.share > part.places or member.share < min(ceil(part.exact / 1000), part.places)
end

-- division.py

local function still_owed(member, part, milliseconds)
  local had = min(member.share, ceil(part.exact / 1000)) * 1000
  return member.owed + floor((part.exact - had) * milliseconds / 1000) - floor(member.owed * milliseconds / FORGOTTEN)
end

local function claim(demand)
  local held = 0
  if demand.member.share > demand.part.places then held = HELD end
  return demand.member.owed + held
end

local function give_rest(rest, demands, most)
  local can = {}
  for _, demand in ipairs(demands) do
    if demand.part.places < demand[most] then can[#can + 1] = demand end
  end
  for _, demand in ipairs(can) do demand.claim = claim(demand) end
  table.sort(can, function(one, other)
    if one.claim ~= other.claim then return one.claim > other.claim end
    return one.name < other.name
  end)
  for index = 1, min(rest, #can) do can[index].part.places = can[index].part.places + 1 end
end

local function divide_equally(places, demands)
  local sorted = {}
  for index, demand in ipairs(demands) do sorted[index] = demand.bulk end
  table.sort(sorted)
  local level, left, short = 0, places, #sorted
  for _, want in ipairs(sorted) do
    if want * short > left then
      level = floor(left / short)
      break
    end
    level, left, short = want, left - want, short - 1
  end
  local rest, above = places, 0
  for _, demand in ipairs(demands) do
    rest = rest - min(demand.bulk, level)
    if demand.bulk > level then above = above + 1 end
  end
  for _, demand in ipairs(demands) do
    local part, least = demand.part, min(demand.bulk, level)
    demand.most = part.places + demand.bulk
    part.places = part.places + least
    part.exact = part.exact + least * 1000
    if demand.bulk > level then part.exact = part.exact + floor(rest * 1000 / above) end
  end
  give_rest(rest, demands, 'most')
end

local function divide(window, demands)
  local all_people, all_bulk, kept = 0, 0, 0
  for _, demand in ipairs(demands) do
    demand.people = min(demand.member.people, demand.member.most)
    demand.bulk = min(demand.member.bulk, demand.member.most - demand.people)
    demand.part = {places = 0, exact = 0}
    all_people, all_bulk = all_people + demand.people, all_bulk + demand.bulk
  end
  if all_people > 0 then kept = max(0, min(all_bulk, ceil(window / BULK_SHARE), window - 1)) end
  local for_people = max(0, min(all_people, window - kept))
  local for_bulk = min(all_bulk, window - for_people)
  if for_people > 0 then
    local rest = for_people
    for _, demand in ipairs(demands) do
      demand.part.places = floor(for_people * demand.people / all_people)
      demand.part.exact = floor(for_people * demand.people * 1000 / all_people)
      rest = rest - demand.part.places
    end
    give_rest(rest, demands, 'people')
  end
  if for_bulk > 0 then divide_equally(for_bulk, demands) end
  local each = floor((window - for_people - for_bulk) / #demands)
  for _, demand in ipairs(demands) do
    local part = demand.part
    part.places = part.places + max(0, min(each, max(SPARE, part.places), demand.member.most - part.places))
  end
end

-- The heartbeat.

forget()
look_back()
local known = members[beat.member]
local is_late = known ~= nil and beat.number < known.number
local member, passed = known, 0
if not is_late then
  member = told()
  passed = max(0, min(LONGEST, now - member.seen))
  member.seen = now
  hear_of_window(known == nil)
  if known == nil then add_claim() end
end

local demands, mine = {}, nil
for name, one in pairs(members) do
  if now - one.seen < lease or one == member then
    local demand = {name = name, member = one}
    demands[#demands + 1] = demand
    if one == member then mine = demand end
  end
end
divide(group.window, demands)
if not is_late then
  member.owed = still_owed(member, mine.part, passed)
  if mine.part.places * 1000 < mine.part.exact then divide(group.window, demands) end
  local window = group.window - max(0, group.refused - group.heard)
  member.share = granted(max(0, min(mine.part.places, window - counted_of_others())))
end

local in_flight, moving = 0, 0
for _, one in pairs(members) do in_flight = in_flight + still_in_flight(one) end
for _, demand in ipairs(demands) do
  if moves(demand.member, demand.part) then moving = 1 end
end

redis.call('HSET', KEYS[1], '', packed(GROUP, group), beat.member, packed(MEMBER, member))
redis.call('EXPIRE', KEYS[1], ARGV[4])

local leads, gathering = 0, 0
if gathers() then gathering = 1 end
if group.leader == beat.member then leads = 1 end
return {member.share, group.window, group.ceiling, leads, #demands, moving, gathering, group.apart_until, now,
  in_flight, group.sent, group.taken, group.refused, group.told, group.limit, group.current}
