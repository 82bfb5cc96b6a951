// A colour for each account. It keeps the one that it got first, on this screen for good. The scale (Okabe and Ito 2008) can be told apart by
// colour-blind people; still nothing is said by colour alone, the name or the number stands beside it.
const colour_count = 8;
const storage_name = "account-colours";

const places = new Map<string, number>();
try {
  for (const [account, place] of Object.entries(JSON.parse(localStorage.getItem(storage_name) ?? "{}") as Record<string, number>)) places.set(account, place);
} catch {
  // Storage is switched off or holds something else: colours are given anew.
}

/// Gives a colour to each account that has none: the first that fewest have.
export function meet_accounts(accounts: Iterable<string>) {
  const strangers = [...new Set(accounts)].filter((account) => !places.has(account)).sort();
  for (const account of strangers) {
    const used = Array.from({ length: colour_count }, () => 0);
    for (const place of places.values()) used[place % colour_count] += 1;
    places.set(account, used.indexOf(Math.min(...used)));
  }
  if (strangers.length === 0) return;
  try {
    localStorage.setItem(storage_name, JSON.stringify(Object.fromEntries(places)));
  } catch {
    // They hold until the page is left.
  }
}

/// The classes that give an element the account's colour.
export const account_class = (account: string) => `account account-${places.get(account) ?? colour_count - 1}`;
