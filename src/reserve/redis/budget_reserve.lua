-- What is asked for (nothing where its price is not known), and of each account its limit (nothing where it may be gone beyond) and when its
-- window ends. Answers whether it was reserved of all, the slot, and what each has.
local ask = ARGV[1] ~= '' and number(ARGV[1], 0)
local accounts, is_there = {}, true
for i, key in ipairs(KEYS) do
  local account, limit = read(key), ARGV[2 * i]
  accounts[i] = account
  if limit ~= '' and not (ask and is_zero(ask)) then
    local taken = plus(account.spent, account.reserved)
    if ask then
      is_there = is_there and not less(number(limit, 0), plus(taken, ask))
    else
      is_there = is_there and less(taken, number(limit, 0))
    end
  end
end
local answer = {is_there and '1' or '0', struct.pack('<I8', slot)}
for i, account in ipairs(accounts) do
  if is_there and ask and not is_zero(ask) then
    account.reserved = plus(account.reserved, ask)
    reserve(KEYS[i], account, slot, plus(account.slots[slot] or NONE, ask))
    keep(KEYS[i], account, tonumber(ARGV[2 * i + 1]))
  end
  answer[i + 2] = shown(account)
end
return table.concat(answer)
