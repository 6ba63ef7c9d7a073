// A wire between the browser and the server, to be cut. It changes URL in the environment: a
// test that has imported it when it imports browser.mjs has its pages come by it.
import { connect, createServer } from 'node:net';

const server = new URL(process.env.URL);
const sockets = new Set();
let whole = true;

const listener = createServer((near) => {
  if (!whole) return near.destroy();
  const far = connect(Number(server.port), server.hostname);
  for (const [one, other] of [[near, far], [far, near]]) {
    sockets.add(one);
    one.on('error', () => {}); // of a cut
    one.on('close', () => {
      sockets.delete(one);
      other.destroy();
    });
    one.pipe(other);
  }
});
await new Promise((done) => listener.listen(0, '127.0.0.1', done));
listener.unref();
process.env.URL = `https://127.0.0.1:${listener.address().port}`;

/** Ends all connections and lets none in. */
export function cut() {
  whole = false;
  for (const socket of sockets) socket.destroy();
}

export function mend() {
  whole = true;
}
