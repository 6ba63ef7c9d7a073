// Recordings as asciicast v2 has them: a header, and lines of [seconds, kind, text].

export interface CastEvent {
  /** Seconds since the beginning of the session. */
  at: number;
  /** o: output, i: input, r: another size of the terminal. */
  kind: string;
  data: string;
}

export interface Cast {
  width: number;
  height: number;
  events: CastEvent[];
}

/** A piece of text in a transcript, and when it was written. */
export interface Line {
  at: number;
  text: string;
}

/** Adds lines of a recording to what is known of it. A line that is none is left out. */
export function addLines(cast: Cast, lines: string): Cast {
  for (const line of lines.split('\n')) {
    if (!line) continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      continue;
    }
    if (Array.isArray(value)) {
      const [at, kind, data] = value as unknown[];
      if (typeof at === 'number' && typeof kind === 'string' && typeof data === 'string') cast.events.push({ at, kind, data });
    } else if (value && typeof value === 'object') {
      const { width, height } = value as { width?: number; height?: number };
      if (width && height) [cast.width, cast.height] = [width, height];
    }
  }
  return cast;
}

export const noCast = (): Cast => ({ width: 80, height: 24, events: [] });

/** The size that an event of the kind r names; null if it names none that a screen can have. */
export function sizeOf(data: string): [number, number] | null {
  const found = /^(\d{1,4})x(\d{1,4})$/.exec(data);
  const [width, height] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
  return width > 1 && height > 0 ? [width, height] : null;
}

// Control sequences (ECMA-48 §5.4 and the strings of §5.6), and single controls.
const sequences = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])|[\x00-\x07\x0b-\x0c\x0e-\x1f\x7f]/g;

/** What was written, line by line, as far as a line can be told without a screen. */
export function transcript(events: CastEvent[]): Line[] {
  const lines: Line[] = [];
  let current: string[] = [];
  let column = 0;
  let begun: number | null = null;
  let rest = '';
  const end = (at: number) => {
    const text = current.join('').trimEnd();
    if (text) lines.push({ at: begun ?? at, text });
    current = [];
    column = 0;
    begun = null;
  };
  for (const { at, kind, data } of events) {
    if (kind !== 'o') continue;
    let text = rest + data;
    rest = '';
    // A sequence may come in two pieces.
    const open = text.lastIndexOf('\x1b');
    if (open >= 0 && text.length - open < 256 && text.slice(open).search(sequences) !== 0) {
      rest = text.slice(open);
      text = text.slice(0, open);
    }
    text = text.replace(sequences, (s) => (/^\x1b\[0?K$/.test(s) ? '\x00' : ''));
    for (const c of text) {
      if (c === '\n') end(at);
      else if (c === '\r') column = 0;
      else if (c === '\b') column = Math.max(0, column - 1);
      else if (c === '\x00') current.length = column;
      else {
        begun ??= at;
        while (current.length < column) current.push(' ');
        current[column++] = c;
      }
    }
  }
  end(events.at(-1)?.at ?? 0);
  return lines;
}

/** Seconds as people read them: 1:02:03. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const minutes = Math.floor(s / 60) % 60;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}
