import '@xterm/xterm/css/xterm.css';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { Terminal } from '@xterm/xterm';
import { type CastEvent, sizeOf } from './recordingscast';
import { allowTerminalStyles } from './styles';

/** A cell of the fonts below is about so wide, as a part of their size. */
const cellWidth = 0.61;

/** A terminal that only shows: what was recorded, or what somebody else sees. */
export class Screen {
  readonly terminal: Terminal;
  private drawn: Promise<void> = Promise.resolve();
  private readonly observer: ResizeObserver;
  private over = false;

  constructor(
    private readonly place: HTMLElement,
    label: string,
    private readonly width: number,
    private readonly height: number,
  ) {
    allowTerminalStyles();
    const term = new Terminal({
      allowProposedApi: true,
      cols: width,
      rows: height,
      disableStdin: true,
      fontFamily: 'Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK JP", monospace',
      fontSize: 14,
      scrollback: 20000,
      minimumContrastRatio: 4.5,
      theme: { background: '#0f1b2a', foreground: '#e9ebed' },
    });
    term.loadAddon(new Unicode11Addon());
    term.unicode.activeVersion = '11';
    term.open(place);
    term.textarea?.setAttribute('aria-label', label);
    this.terminal = term;
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(place);
    this.fit();
    // For tests and for people with a debugger: what is shown, as text.
    Object.assign(place, {
      text: () => {
        const buffer = term.buffer.active;
        return Array.from({ length: buffer.length }, (_, i) => buffer.getLine(i)?.translateToString(true) ?? '').join('\n');
      },
    });
  }

  /** The recorded size stays; the letters get smaller where there is less room. */
  private fit() {
    const room = this.place.clientWidth;
    if (room === 0) return;
    const size = Math.min(14, Math.max(6, Math.floor(room / (this.terminal.cols * cellWidth))));
    if (this.terminal.options.fontSize !== size) this.terminal.options.fontSize = size;
  }

  private then(f: () => void | Promise<void>) {
    this.drawn = this.drawn.then(() => (this.over ? undefined : f()));
  }

  /** Shows events after those before. */
  show(events: CastEvent[]) {
    let text = '';
    const flush = () => {
      const written = text;
      text = '';
      if (written) this.then(() => new Promise((done) => this.terminal.write(written, done)));
    };
    for (const e of events) {
      if (e.kind === 'o') text += e.data;
      const size = e.kind === 'r' ? sizeOf(e.data) : null;
      if (size) {
        flush();
        this.then(() => {
          this.terminal.resize(...size);
          this.fit();
        });
      }
    }
    flush();
  }

  /** Shows nothing again. */
  clear() {
    this.then(() => {
      this.terminal.reset();
      this.terminal.resize(this.width, this.height);
      this.fit();
    });
  }

  dispose() {
    this.over = true;
    this.observer.disconnect();
    this.terminal.dispose();
  }
}
