-- Of each limit: its field, and its rate, what goes back, what is owed, how far it may be used up, and what one unit is. Answers what of
-- the debts was forgiven.
local answer = {}
for i = 1, #fields do
  local numbers = ARGV[2 * i]
  local rate, back, owed = number(numbers, 0), number(numbers, 1), number(numbers, 2)
  local forgiven = {0, 0, 0, 0, 0, 0}
  if not is_zero(owed) then
    local used = backlog(i, rate)
    local room = minus(number(numbers, 3), used)
    local charged = owed
    if less(room, owed) then
      charged = minus(room, remainder(room, number(numbers, 4)))
      forgiven = minus(owed, charged)
    end
    if not is_zero(charged) then
      set(i, plus(used, charged), rate)
    end
  elseif states[i] and not is_zero(back) then
    set(i, minus(backlog(i, rate), back), rate)
  end
  answer[i] = pack(forgiven)
end
keep()
return table.concat(answer)
