-- Returns the alerts that this holder is the first to raise. KEYS: alerts.
-- ARGV: seconds kept, holder, shares.
local mine = {}
for index = 3, #ARGV do
  redis.call('HSETNX', KEYS[1], ARGV[index], ARGV[2])
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[2] then mine[#mine + 1] = ARGV[index] end
end
if redis.call('TTL', KEYS[1]) == -1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return mine
