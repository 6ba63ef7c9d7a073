// Sessions that are encrypted under a KMS key: the browser is one of the two ends. It has
// the key service make a data key, as the user who is signed in, and seals with it what
// is typed (internal/datachannel/crypt.go has the words; ADR 0036 the decisions).

import { call } from './api';
import { forgetStanding } from './standing';

const dataKeySize = 64; // bytes: the first half seals what the node sends, the second what we send
const nonceSize = 12;

/** Seals what this end sends, and opens what the node has sealed. */
export interface Cipher {
  seal(plaintext: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  open(blob: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** What a node asks for that wants its session encrypted. */
export interface EncryptionRequest {
  KMSKeyId: string;
  Challenge?: string;
}

export const toBase64 = (bytes: Uint8Array) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''));
export const fromBase64 = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** The two keys of a session. Neither can be read, not even by this page. */
interface Keys {
  node: CryptoKey;
  ours: CryptoKey;
}

function cipherOf({ node, ours }: Keys): Cipher {
  return {
    async seal(plaintext) {
      const iv = crypto.getRandomValues(new Uint8Array(nonceSize));
      const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, ours, plaintext));
      const blob = new Uint8Array(nonceSize + sealed.length);
      blob.set(iv);
      blob.set(sealed, nonceSize);
      return blob;
    },
    async open(blob) {
      return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: blob.slice(0, nonceSize) }, node, blob.slice(nonceSize)));
    },
  };
}

/** Has a data key made for a session; sealed is the part of it that the node opens. */
export async function newCipher(id: string, target: string, asked: EncryptionRequest): Promise<{ cipher: Cipher; sealed: string }> {
  const made = await call<{ Plaintext: string; CiphertextBlob: string }>('kms', 'GenerateDataKey', {
    KeyId: asked.KMSKeyId,
    NumberOfBytes: dataKeySize,
    EncryptionContext: {
      'aws:ssm:SessionId': id,
      'aws:ssm:TargetId': target,
      ...(asked.Challenge && { 'aws:ssm:RandomChallenge': asked.Challenge }),
    },
  });
  const clear = fromBase64(made.Plaintext);
  const half = dataKeySize / 2;
  const keys: Keys = {
    node: await crypto.subtle.importKey('raw', clear.slice(0, half), 'AES-GCM', false, ['decrypt']),
    ours: await crypto.subtle.importKey('raw', clear.slice(half), 'AES-GCM', false, ['encrypt']),
  };
  clear.fill(0);
  await store('readwrite', (s) => s.put(keys, id));
  return { cipher: cipherOf(keys), sealed: made.CiphertextBlob };
}

// A page that is loaded anew goes on with the keys of the one before it. The database keeps
// them as they are: to be used, not to be read.
const database = 'sekisho';
const name = 'keys';

function store<T>(mode: IDBTransactionMode, use: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(database, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(name);
    opening.onerror = () => reject(opening.error as Error);
    opening.onsuccess = () => {
      const db = opening.result;
      const transaction = db.transaction(name, mode);
      const request = use(transaction.objectStore(name));
      transaction.oncomplete = () => {
        db.close();
        resolve(request.result);
      };
      transaction.onabort = () => {
        db.close();
        reject(transaction.error as Error);
      };
    };
  });
}

/** The cipher of a session that this browser has begun to encrypt; null for none. */
export async function keptCipher(id: string): Promise<Cipher | null> {
  const keys = (await store('readonly', (s) => s.get(id))) as Keys | undefined;
  return keys ? cipherOf(keys) : null;
}

/** Forgets a session that is over. */
export async function forgetSession(id: string) {
  forgetStanding(id);
  await store('readwrite', (s) => s.delete(id));
}

/** Forgets the keys of all sessions, when somebody leaves this browser. */
export function forgetKeys() {
  indexedDB.deleteDatabase(database);
}
