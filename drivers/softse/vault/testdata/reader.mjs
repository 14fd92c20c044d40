// An independent reader of the vault's files, written from the documentation of
// the package and with Node's cryptography alone:
//
//   node reader.mjs KEYFILE DIRECTORY SEID [DIRECTORY SEID]...
//
// For each it prints a line of JSON: what it has found, or what is wrong.
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [keyFile, ...places] = process.argv.slice(2);
const PAGE = 4096, HEADER = 122, TAG = 16, MAC = 32;

function demand(holds, what) {
  if (!holds) throw new Error(what);
}

const secret = readFileSync(keyFile);
demand(secret.length === 32, 'the key has not 32 bytes');
const derive = (purpose, name) =>
  Buffer.from(hkdfSync('sha256', secret, '', `tses ${purpose}\0${name}`, 32));

// hchacha20 is what is left of ChaCha20's block when its first state is taken off
// again, words 0 to 3 and 12 to 15 (draft-irtf-cfrg-xchacha-03, 2.2).
function hchacha20(key, nonce) {
  const block = createCipheriv('chacha20', key, nonce).update(Buffer.alloc(64));
  const first = Buffer.concat([Buffer.from('expand 32-byte k'), nonce]);
  const out = Buffer.alloc(32);
  for (let i = 0; i < 8; i++) {
    const word = block.readUInt32LE(4 * (i < 4 ? i : i + 8));
    out.writeUInt32LE((word - first.readUInt32LE(4 * i)) >>> 0, 4 * i);
  }
  return out;
}

function unseal(key, nonce, header, ciphertext, tag) {
  const iv = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const cipher = createDecipheriv('chacha20-poly1305', hchacha20(key, nonce.subarray(0, 16)), iv, { authTagLength: TAG });
  cipher.setAAD(header, { plaintextLength: ciphertext.length });
  cipher.setAuthTag(tag);
  return Buffer.concat([cipher.update(ciphertext), cipher.final()]);
}

function readState(directory, seid) {
  let file;
  try {
    file = readFileSync(join(directory, `${seid}.state`));
  } catch (e) {
    if (e.code === 'ENOENT') return null;
    throw e;
  }
  demand(file.length >= HEADER + TAG, 'the state has no header');
  demand(file.subarray(0, 8).equals(Buffer.from('TSES-SE\0')) && file[8] === 1, 'not a state of version 1');
  const name = Buffer.alloc(64);
  name.write(seid);
  demand(file[9] === seid.length && file.subarray(10, 74).equals(name), 'the state is of another SE');
  const header = file.subarray(0, HEADER), tag = file.subarray(-TAG);
  return {
    generation: file.readBigUInt64BE(74),
    before: file.subarray(82, 98),
    tag,
    state: unseal(derive('softse state', seid), file.subarray(98, HEADER), header, file.subarray(HEADER, -TAG), tag),
  };
}

function readLedger(directory, seid) {
  const file = readFileSync(join(directory, 'ledger')), key = derive('softse ledger', '');
  const holds = (name, b) => timingSafeEqual(b.subarray(-MAC),
    createHmac('sha256', key).update(name + '\0').update(b.subarray(0, -MAC)).digest());
  demand(file.subarray(0, 8).equals(Buffer.from('TSES-LG\x01')), 'no ledger');
  const pages = file.readUInt16BE(8), count = file.readUInt16BE(10);
  demand(pages >= 1 && file.length === (pages + 2 * count) * PAGE, 'the ledger has another length than it says');
  demand(holds('', file.subarray(0, pages * PAGE)), "the ledger's header was changed");
  let at = 12, index = -1;
  for (let i = 0; i < count; i++) {
    if (file.toString('latin1', at + 1, at + 1 + file[at]) === seid) index = i;
    at += 1 + file[at];
  }
  demand(index >= 0, 'the ledger does not know the SE');
  const both = [0, 1].map((i) => {
    const start = (pages + 2 * index + i) * PAGE, page = file.subarray(start, start + PAGE);
    return holds(seid, page) && { generation: page.readBigUInt64BE(0), tag: page.subarray(8, 24), absent: page[24] === 1 };
  });
  const good = both.filter(Boolean);
  demand(good.length > 0, "both of the SE's pages were changed");
  if (good.length === 1) return { ...good[0], torn: true };
  const apart = both[0].generation - both[1].generation;
  const same = apart === 0n && both[0].tag.equals(both[1].tag) && both[0].absent === both[1].absent;
  demand(same || apart === 1n || apart === -1n, 'the pages do not belong together');
  return { ...both[apart < 0n ? 1 : 0], torn: false };
}

function judge(directory, seid) {
  const ledger = readLedger(directory, seid), file = readState(directory, seid);
  let verdict;
  if (file === null) {
    demand(ledger.absent && !ledger.torn, 'the state is missing');
    verdict = 'empty';
  } else if (file.generation === ledger.generation + 1n && file.before.equals(ledger.tag)) {
    verdict = 'ahead';
  } else {
    demand(!ledger.absent && !ledger.torn && file.generation === ledger.generation && file.tag.equals(ledger.tag),
      'the state is not the one that was acknowledged last');
    verdict = 'current';
  }
  return {
    verdict,
    generation: Number(file?.generation ?? ledger.generation),
    tag: (file?.tag ?? ledger.tag).toString('hex'),
    state: file?.state.toString('hex') ?? '',
  };
}

for (let i = 0; i < places.length; i += 2) {
  let said;
  try {
    said = judge(places[i], places[i + 1]);
  } catch (e) {
    said = { error: e.message };
  }
  console.log(JSON.stringify(said));
}
