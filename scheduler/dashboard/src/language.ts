// The page's languages. English sentences are the keys; {0} {1} ... are filled in. What the scheduler says is looked up in the command line's
// catalogue (the same rules as scheduler/cli/language.cpp), and stays English where it isn't found.
import korean_sentences from "./languages/ko";

export type Language = "en" | "ko";

let chosen: Language = "en";
let heard: [string, string][] = [];
const exact = new Map<string, string>();
interface Pattern {
  texts: string[];
  places: number[];
  letters: number;
  translation: string;
}
let patterns: Pattern[] = [];

export const language = () => chosen;

export async function speak(wish: Language) {
  if (wish === "ko" && heard.length === 0) {
    heard = (await import("virtual:heard-ko")).default;
    for (const [sentence, translation] of heard) {
      exact.set(sentence, translation);
      const texts = sentence.split(/\{\d\}/);
      if (texts.length > 1)
        patterns.push({
          texts,
          places: [...sentence.matchAll(/\{(\d)\}/g)].map((found) => Number(found[1])),
          letters: texts.join("").length,
          translation,
        });
    }
    patterns.sort((a, b) => b.letters - a.letters);
  }
  chosen = wish;
  document.documentElement.lang = wish;
}

const filled = (text: string, values: unknown[]) => text.replace(/\{(\d)\}/g, (_, place: string) => String(values[Number(place)] ?? ""));

/// A sentence of the page in the language chosen.
export function t(sentence: string, ...values: unknown[]): string {
  if (chosen === "en") return filled(sentence, values);
  return with_particles(filled(korean_sentences[sentence] ?? sentence, values));
}

function match(pattern: Pattern, sentence: string): string[] | null {
  if (!sentence.startsWith(pattern.texts[0])) return null;
  const found: string[] = [];
  let at = pattern.texts[0].length;
  for (let i = 0; i < pattern.places.length; ++i) {
    const next = pattern.texts[i + 1];
    let end = sentence.indexOf(next, at + 1);
    if (i + 1 === pattern.places.length) end = next === "" ? sentence.length : sentence.endsWith(next) ? sentence.length - next.length : -1;
    if (end <= at) return null;
    found.push(sentence.slice(at, end));
    at = end + next.length;
  }
  return found;
}

function heard_piece(sentence: string, depth: number): string {
  const whole = exact.get(sentence);
  if (whole) return whole;
  for (const pattern of patterns) {
    const found = match(pattern, sentence);
    if (!found) continue;
    const pieces: string[] = [];
    found.forEach((piece, i) => (pieces[pattern.places[i]] = depth < 4 && piece.includes(" ") ? heard_piece(piece, depth + 1) : piece));
    return filled(pattern.translation, pieces);
  }
  return sentence;
}

const remembered = new Map<string, string>();

/// What the scheduler said, in the language chosen.
export function said(text: string): string {
  if (chosen === "en" || text === "") return text;
  let translated = remembered.get(text);
  if (translated === undefined) {
    if (remembered.size > 5000) remembered.clear();
    const whole = exact.get(text);
    translated = with_particles(
      whole ??
        text
          .split(/(?<=\.) (?=[A-Z])/)
          .map((sentence) => heard_piece(sentence, 0))
          .join(" "),
    );
    remembered.set(text, translated);
  }
  return translated;
}

/// 은(는) 이(가) 을(를) 와(과) (으)로 by the sound before them; where that isn't known both forms stay (scheduler/cli/korean_particles).
function with_particles(text: string): string {
  return text.replace(/([가-힣0-9])(["')\]]*)(은\(는\)|이\(가\)|을\(를\)|와\(과\)|\(으\)로)/g, (_, sound: string, between: string, both: string) => {
    const digit_ends_closed = "013678";
    const digit_ends_in_l = "178";
    const final = sound >= "가" ? (sound.charCodeAt(0) - 0xac00) % 28 : digit_ends_closed.includes(sound) ? (digit_ends_in_l.includes(sound) ? 8 : 1) : 0;
    const closed = final !== 0;
    const forms: Record<string, [string, string]> = {
      "은(는)": ["은", "는"],
      "이(가)": ["이", "가"],
      "을(를)": ["을", "를"],
      "와(과)": ["과", "와"],
      "(으)로": [final === 8 ? "로" : "으로", "로"],
    };
    return sound + between + forms[both][closed ? 0 : 1];
  });
}
