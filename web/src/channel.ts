// The client's end of a data channel: frames of 120 bytes and a payload, each numbered,
// acknowledged and sent again until it is. The words are those of internal/message,
// which says where they come from.

import { type Cipher, type EncryptionRequest, fromBase64, toBase64 } from './crypto';

const headerLength = 116; // value of the field
const headerSize = 120; // bytes before the payload

export const payload = {
  output: 1,
  error: 2,
  size: 3,
  handshakeRequest: 5,
  handshakeResponse: 6,
  handshakeComplete: 7,
  challengeRequest: 8,
  challengeResponse: 9,
  flag: 10,
  stderr: 11,
  exitCode: 12,
} as const;

// Four numeric components pass every version gate of the stock agent.
const clientVersion = '1.3.0.0';

const chunk = 1024; // bytes of one message; the stock agent reads so much at once
const window_ = 64; // messages under way; the rest waits
const maxReorder = 10000; // messages kept that came too early
const firstResend = 200; // ms
const longestResend = 1000; // ms

// What the node seals in an encrypted session; of ours it is the input. All else is clear.
const sealed: number[] = [payload.output, payload.error, payload.stderr, payload.exitCode];
// The node waits for its acknowledgement before anything else happens.
const handshake: number[] = [payload.handshakeRequest, payload.handshakeComplete, payload.challengeRequest];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface Frame {
  type: string;
  sequence: number;
  id: string;
  payloadType: number;
  payload: Uint8Array<ArrayBuffer>;
}

const sha256 = async (data: Uint8Array<ArrayBuffer>) => new Uint8Array(await crypto.subtle.digest('SHA-256', data));

/** The halves of an id are swapped on the wire. */
function idBytes(id: string): Uint8Array {
  const hex = id.replaceAll('-', '');
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
  return Uint8Array.from([...bytes.slice(8), ...bytes.slice(0, 8)]);
}

function idText(bytes: Uint8Array): string {
  const hex = [...bytes.slice(8), ...bytes.slice(0, 8)].map((b) => b.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export async function encode(type: string, sequence: number, flags: bigint, payloadType: number, body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const frame = new Uint8Array(headerSize + body.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, headerLength);
  frame.set(encoder.encode(type.padEnd(32)), 4);
  view.setUint32(36, 1);
  view.setBigUint64(40, BigInt(Date.now()));
  view.setBigInt64(48, BigInt(sequence));
  view.setBigUint64(56, flags);
  frame.set(idBytes(crypto.randomUUID()), 64);
  frame.set(await sha256(body), 80);
  view.setUint32(112, payloadType);
  view.setUint32(116, body.length);
  frame.set(body, headerSize);
  return frame;
}

/** Reads a frame; null for what is none, or is not what its digest says. */
export async function decode(data: ArrayBuffer): Promise<Frame | null> {
  if (data.byteLength < headerSize) return null;
  const view = new DataView(data);
  if (view.getUint32(0) !== headerLength) return null;
  const type = decoder.decode(new Uint8Array(data, 4, 32)).replaceAll('\0', '').trim();
  const body = new Uint8Array(data, headerSize);
  const length = view.getUint32(116);
  if (type === 'output_stream_data' && length !== 0) {
    const digest = await sha256(body);
    const claimed = new Uint8Array(data, 80, 32);
    if (digest.some((b, i) => b !== claimed[i])) return null;
  }
  return { type, sequence: Number(view.getBigInt64(48)), id: idText(new Uint8Array(data, 64, 16)), payloadType: view.getUint32(112), payload: body };
}

export interface Handler {
  /** Shows output. Its promise ends when there is room for more, and only then is it acknowledged. */
  output(data: Uint8Array): Promise<void>;
  /** The node is ready for input. */
  ready(message: string): void;
  state(state: 'connecting' | 'connected' | 'reconnecting'): void;
  /** The session is over. A reason is the server's, or that of what failed. */
  ended(reason: string): void;
  /** The session is encrypted from now on. */
  encrypted(): void;
  /** The session cannot be resumed, or not be encrypted: it ends, or is left. */
  refused(error: unknown): void;
}

/** Makes the keys of a session that its node wants encrypted; sealed are those for the node. */
export type NewCipher = (asked: EncryptionRequest) => Promise<{ cipher: Cipher; sealed: string }>;

/** Where a session stands, for a page that continues what another one began. */
export interface Standing {
  /** Number of the next message to send: everything below is acknowledged. */
  next: number;
  /** Another page showed the output so far; what comes first is what comes next. */
  continued: boolean;
  /** Of a session that is encrypted already. */
  cipher: Cipher | null;
  save(next: number): void;
}

/** Gets a token for the session; null if it is over. */
export type Token = () => Promise<string | null>;

interface Waiting {
  type: number;
  body: Uint8Array<ArrayBuffer>;
}

export class Channel {
  private socket: WebSocket | null = null;
  private readonly clientId = crypto.randomUUID();
  private next = 0; // number of the next message that is sent
  private expected: number | null; // number of the next message that is shown; null: whichever comes first
  private readonly early = new Map<number, Frame>();
  private readonly unacknowledged = new Map<number, { frame: Uint8Array<ArrayBuffer>; at: number; tries: number }>();
  private waiting: Waiting[] = [];
  private sending: Promise<void> = Promise.resolve();
  private receiving: Promise<void> = Promise.resolve();
  private isReady = false;
  private wanted = false; // to be encrypted: nothing may go in clear any more
  private cipher: Cipher | null;
  private over = false;
  private attempts = 0;
  private readonly timer: number;

  constructor(
    private readonly sessionId: string,
    private readonly token: Token,
    private readonly newCipher: NewCipher,
    private readonly standing: Standing,
    private readonly handler: Handler,
  ) {
    this.cipher = standing.cipher;
    this.wanted = this.cipher !== null;
    this.next = standing.next;
    this.expected = standing.continued ? null : 0;
    this.isReady = standing.continued;
    this.timer = window.setInterval(() => this.resend(), 100);
    void this.connect();
  }

  /** Leaves; the session stays. */
  close() {
    this.over = true;
    window.clearInterval(this.timer);
    this.socket?.close();
  }

  input(text: string) {
    const bytes = encoder.encode(text);
    for (let i = 0; i < bytes.length; i += chunk) this.queue(payload.output, bytes.slice(i, i + chunk));
  }

  size(cols: number, rows: number) {
    // Only the last size counts.
    this.waiting = this.waiting.filter((w) => w.type !== payload.size);
    this.queue(payload.size, encoder.encode(JSON.stringify({ cols, rows })));
  }

  private queue(type: number, body: Uint8Array<ArrayBuffer>) {
    this.waiting.push({ type, body });
    this.flush();
  }

  private flush() {
    while (this.isReady && !this.over && this.waiting.length > 0 && this.unacknowledged.size < window_) {
      const { type, body } = this.waiting.shift()!;
      this.transmit(type, body);
    }
  }

  private transmit(type: number, body: Uint8Array<ArrayBuffer>) {
    const sequence = this.next++;
    // Numbered at once, so that the window counts what is still being hashed.
    const entry = { frame: new Uint8Array(0), at: performance.now(), tries: 0 };
    this.unacknowledged.set(sequence, entry);
    this.sending = this.sending.then(async () => {
      let data = body;
      if (this.wanted && type === payload.output) {
        if (!this.cipher) return;
        data = await this.cipher.seal(body);
      }
      entry.frame = await encode('input_stream_data', sequence, 0n, type, data);
      entry.at = performance.now();
      this.write(entry.frame);
    });
  }

  private write(frame: Uint8Array<ArrayBuffer>) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(frame);
  }

  private resend() {
    const [oldest] = this.unacknowledged.values();
    if (!oldest || oldest.frame.length === 0) return;
    const wait = Math.min(firstResend * 2 ** oldest.tries, longestResend);
    if (performance.now() - oldest.at >= wait) {
      oldest.at = performance.now();
      oldest.tries++;
      this.write(oldest.frame);
    }
  }

  private async connect() {
    if (this.over) return;
    this.handler.state(this.attempts === 0 ? 'connecting' : 'reconnecting');
    let token: string | null;
    try {
      token = await this.token();
    } catch (e) {
      if ((e as { code?: string }).code === 'NetworkError') return this.later();
      return this.refuse(e);
    }
    if (token === null) return this.end('');
    if (this.over) return;
    const socket = new WebSocket(`wss://${window.location.host}/v1/data-channel/${encodeURIComponent(this.sessionId)}?role=publish_subscribe`);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.onopen = () => {
      socket.send(
        JSON.stringify({ MessageSchemaVersion: '1.0', RequestId: crypto.randomUUID(), TokenValue: token, ClientId: this.clientId, ClientVersion: clientVersion }),
      );
      this.attempts = 1;
      this.handler.state('connected');
      for (const u of this.unacknowledged.values()) if (u.frame.length > 0) this.write(u.frame);
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) {
        this.receiving = this.receiving.then(async () => {
          const frame = await decode(data);
          if (frame && !this.over) await this.receive(frame);
        });
      }
    };
    socket.onclose = () => {
      if (this.socket === socket) {
        this.socket = null;
        void this.receiving.then(() => this.later());
      }
    };
  }

  private later() {
    if (this.over) return;
    this.handler.state('reconnecting');
    this.attempts++;
    const wait = Math.min(250 * 2 ** this.attempts, 10_000) * (0.5 + Math.random() / 2);
    window.setTimeout(() => void this.connect(), wait);
  }

  private end(reason: string) {
    if (this.over) return;
    this.close();
    this.handler.ended(reason);
  }

  private async receive(frame: Frame) {
    switch (frame.type) {
      case 'acknowledge': {
        const ack = JSON.parse(decoder.decode(frame.payload)) as { AcknowledgedMessageSequenceNumber: number };
        this.unacknowledged.delete(ack.AcknowledgedMessageSequenceNumber);
        const [oldest] = this.unacknowledged.keys();
        this.standing.save(oldest ?? this.next);
        this.flush();
        return;
      }
      case 'channel_closed': {
        const closed = JSON.parse(decoder.decode(frame.payload)) as { Output?: string };
        return this.end(closed.Output ?? '');
      }
      case 'output_stream_data':
        break;
      default:
        return;
    }
    this.expected ??= frame.sequence;
    if (frame.sequence < this.expected) return this.acknowledge(frame);
    if (frame.sequence > this.expected) {
      if (this.early.size < maxReorder) {
        this.early.set(frame.sequence, frame);
        await this.acknowledge(frame);
      }
      return;
    }
    const first = handshake.includes(frame.payloadType);
    if (first) await this.acknowledge(frame);
    await this.show(frame);
    if (!first) await this.acknowledge(frame);
    this.expected++;
    for (let held = this.early.get(this.expected); held; held = this.early.get(this.expected)) {
      this.early.delete(this.expected);
      await this.show(held);
      this.expected++;
    }
  }

  private async acknowledge(frame: Frame) {
    const body = encoder.encode(
      JSON.stringify({ AcknowledgedMessageType: frame.type, AcknowledgedMessageId: frame.id, AcknowledgedMessageSequenceNumber: frame.sequence, IsSequentialMessage: true }),
    );
    this.write(await encode('acknowledge', 0, 3n, 0, body));
  }

  private async show(frame: Frame) {
    let data = frame.payload;
    if (this.wanted && sealed.includes(frame.payloadType)) {
      if (!this.cipher) return;
      try {
        data = await this.cipher.open(data);
      } catch {
        return this.refuse(new Error('tampered'));
      }
    }
    switch (frame.payloadType) {
      case payload.handshakeRequest:
        return this.shakeHands(frame);
      case payload.handshakeComplete: {
        const done = JSON.parse(decoder.decode(data)) as { CustomerMessage?: string };
        if (this.wanted && !this.cipher) return;
        return this.begin(done.CustomerMessage ?? '');
      }
      case payload.challengeRequest:
        return this.prove(frame);
      case payload.flag:
      case payload.exitCode:
        return;
    }
    this.begin('');
    await this.handler.output(data);
  }

  private begin(message: string) {
    if (this.isReady) return;
    this.isReady = true;
    this.handler.ready(message);
    this.flush();
  }

  private refuse(error: unknown) {
    if (this.over) return;
    this.close();
    this.handler.refused(error);
  }

  private async shakeHands(frame: Frame) {
    const request = JSON.parse(decoder.decode(frame.payload)) as { RequestedClientActions: { ActionType: string; ActionParameters: EncryptionRequest }[] };
    const errors: string[] = [];
    const actions = [];
    for (const { ActionType, ActionParameters } of request.RequestedClientActions) {
      const action = { ActionType, ActionStatus: 1, ActionResult: null as object | null, Error: '' };
      actions.push(action);
      if (ActionType === 'SessionType') continue;
      if (ActionType === 'KMSEncryption') {
        this.wanted = true;
        try {
          const made = await this.newCipher(ActionParameters);
          this.cipher = made.cipher;
          action.ActionResult = { KMSCipherTextKey: made.sealed, KMSCipherTextHash: null, ChallengeAcknowledgement: Boolean(ActionParameters.Challenge) };
          this.handler.encrypted();
          continue;
        } catch (e) {
          action.ActionStatus = 2;
          action.Error = `Failed to process action ${ActionType}: ${(e as Error).message}`.slice(0, 1000);
          this.handler.refused(e);
        }
      } else {
        action.ActionStatus = 3;
        action.Error = `Unsupported action ${ActionType}`;
      }
      errors.push(action.Error);
    }
    const response = { ClientVersion: clientVersion, ProcessedClientActions: actions, Errors: errors.length > 0 ? errors : null };
    this.transmit(payload.handshakeResponse, encoder.encode(JSON.stringify(response)));
  }

  /** Shows the node that this end has the session's keys: it sends back what only they open. */
  private async prove(frame: Frame) {
    if (!this.cipher) return;
    const { Challenge } = JSON.parse(decoder.decode(frame.payload)) as { Challenge: string };
    try {
      const text = await this.cipher.open(fromBase64(Challenge));
      const answer = { Challenge: toBase64(await this.cipher.seal(text)) };
      this.transmit(payload.challengeResponse, encoder.encode(JSON.stringify(answer)));
    } catch {
      this.refuse(new Error('tampered'));
    }
  }
}
