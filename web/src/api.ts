// What the server is asked: operations of the API, by name, with their own inputs and
// answers, and the few requests of the console itself.

/** A refusal in the service's own words. */
export class ServiceError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly operation: string,
  ) {
    super(message);
  }
}

/** Told when the server says that nobody is signed in any more. */
let signedOut: () => void = () => {};
export function onSignedOut(f: () => void) {
  signedOut = f;
}

async function post<T>(path: string, input: object, operation: string): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Sekisho-Console': '1' },
      body: JSON.stringify(input),
      cache: 'no-store',
    });
  } catch {
    throw new ServiceError('NetworkError', '', operation);
  }
  const text = await response.text();
  let body: Record<string, unknown> = {};
  try {
    body = text ? JSON.parse(text) : {};
  } catch {
    // Not an answer of ours: a proxy's page, perhaps. The status says enough.
  }
  if (response.ok) return body as T;
  const code = String(body.__type ?? `HTTP ${response.status}`);
  if (code === 'SignedOut' && operation !== 'session') signedOut();
  throw new ServiceError(code, String(body.message ?? body.Message ?? ''), operation);
}

/** Calls an operation as the user who is signed in. */
export function call<T>(service: string, operation: string, input: object = {}): Promise<T> {
  return post<T>(`/console/api/${service}/${operation}`, input, `${service}:${operation}`);
}

/** Calls an operation until it has no more pages, or until there are enough. */
export async function all<T>(operation: string, member: string, input: object = {}, enough = 20000): Promise<T[]> {
  const list: T[] = [];
  let token: string | undefined;
  do {
    const page = await call<Record<string, unknown>>('ssm', operation, token ? { ...input, NextToken: token } : input);
    list.push(...((page[member] as T[]) ?? []));
    token = page.NextToken as string | undefined;
  } while (token && list.length < enough);
  return list;
}

export interface Session {
  UserName: string;
  ARN: string;
  UserId: string;
  Account: string;
  Region: string;
  Endpoint: string;
  MFA: boolean;
  /** Of a role that the user has switched to: its name, and when it ends. */
  Role?: string;
  RoleEnds?: string;
  /** An identity provider vouches for the person: the role is the one of the sign-in. */
  Federated?: boolean;
}

export const currentSession = () => post<Session>('/console/session', {}, 'session');
export const signIn = (UserName: string, Password: string, MFACode: string) =>
  post<Session>('/console/sign-in', { UserName, Password, MFACode }, 'signin');
/** How one can sign in beside user and password: by an identity provider of that name. */
export const signInMethods = () => post<{ OIDC?: string }>('/console/sign-in-methods', {}, 'signin');
export const signOut = (Everywhere: boolean) => post<object>('/console/sign-out', { Everywhere }, 'signout');

/** Acts as a role, or as the user again if none is named. */
export const switchRole = (RoleArn: string) => post<Session>('/console/switch-role', { RoleArn }, 'sts:AssumeRole');

export interface Ask {
  Action: string;
  Resource: string;
}
export interface Answer {
  Allowed: boolean;
  Message?: string;
}

/** Says what the user may do, so that buttons can tell before they are pressed. */
export async function may(requests: Ask[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let i = 0; i < requests.length; i += 100) {
    const page = await post<{ Results: Answer[] }>('/console/may', { Requests: requests.slice(i, i + 100) }, 'may');
    answers.push(...page.Results);
  }
  return answers;
}

/** What a denial names: policy.Explain writes it so, after the service. */
export function denied(error: unknown): { action: string; resource: string } | null {
  if (!(error instanceof ServiceError) || !error.code.startsWith('AccessDenied')) return null;
  const found = /is not authorized to perform: (\S+)(?: on resource: (\S+))?/.exec(error.message);
  return found ? { action: found[1]!, resource: found[2] ?? '*' } : null;
}

/** Times come as seconds. */
export const when = (seconds?: number) => (seconds ? new Date(seconds * 1000) : null);
