-- The slot of what was reserved (nothing where nothing was), how much that is, what was spent (nothing: what was is to be forgotten) and how often
-- that has no price, and of each account when its window ends. Answers what each has.
local at, back, spent, unpriced = tonumber(ARGV[1]), number(ARGV[2], 0), ARGV[3], tonumber(ARGV[4])
local answer = {}
for i, key in ipairs(KEYS) do
  local account = read(key)
  local held = at and account.slots[at]
  if held then
    local left = minus(held, back)
    account.reserved = plus(minus(account.reserved, held), left)
    reserve(key, account, at, left)
  end
  if spent == '' then
    account.spent, account.unpriced = NONE, 0
  else
    account.spent, account.unpriced = plus(account.spent, number(spent, 0)), account.unpriced + unpriced
  end
  if is_zero(account.spent) then
    redis.call('HDEL', key, 's')
  else
    redis.call('HSET', key, 's', pack(account.spent))
  end
  if account.unpriced == 0 then
    redis.call('HDEL', key, 'u')
  else
    redis.call('HSET', key, 'u', string.format('%.0f', account.unpriced))
  end
  keep(key, account, tonumber(ARGV[4 + i]))
  answer[i] = shown(account)
end
return table.concat(answer)
