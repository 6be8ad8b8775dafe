/** The icons that manifests may name. Chosen one by one, so that only these are shipped. */
import {
  Activity, AppWindow, Bell, BookOpen, Boxes, Box, Building2, ChartColumn, Check, ChevronDown, ChevronRight, ChevronUp,
  ChevronsUpDown, Circle, CircleAlert, CircleCheck, CircleHelp, CircleX, Clock, Command, Copy, Cpu, CreditCard, Database,
  Download, Ellipsis, ExternalLink, Eye, EyeOff, FileText, Gauge, Globe, HardDrive, House, Info, KeyRound, Keyboard,
  LayoutGrid, Library, Link2, ListFilter, LoaderCircle, LogOut, Menu, MessageSquare, Monitor, Moon, Network, Package,
  Pencil, Play, Plug, Plus, Receipt, RefreshCw, Route, ScrollText, Search, Send, Server, Settings, Shield, ShieldCheck,
  SlidersHorizontal, Square, Sun, Terminal, Trash2, TriangleAlert, Undo2, User, Users, Wallet, Wifi, WifiOff, X,
} from "lucide-react";
import type { LucideIcon } from "lucide-react";

import { cx } from "./classes.ts";

const SET = {
  activity: Activity, alert: TriangleAlert, app: AppWindow, bell: Bell, book: BookOpen, box: Box, boxes: Boxes,
  building: Building2, chart: ChartColumn, chat: MessageSquare, check: Check, circle: Circle, clock: Clock,
  close: X, command: Command, copy: Copy, cpu: Cpu, card: CreditCard, database: Database, delete: Trash2, disk: HardDrive,
  down: ChevronDown, download: Download, edit: Pencil, error: CircleX, external: ExternalLink, file: FileText,
  filter: ListFilter, gauge: Gauge, globe: Globe, grid: LayoutGrid, help: CircleHelp, hide: EyeOff, home: House,
  info: Info, key: KeyRound, keyboard: Keyboard, library: Library, link: Link2, log: ScrollText, menu: Menu, money: Wallet,
  monitor: Monitor, moon: Moon, more: Ellipsis, network: Network, offline: WifiOff, ok: CircleCheck, online: Wifi,
  package: Package, play: Play, plug: Plug, plus: Plus, receipt: Receipt, refresh: RefreshCw, right: ChevronRight,
  route: Route, search: Search, send: Send, server: Server, settings: Settings, shield: Shield, show: Eye,
  signout: LogOut, sliders: SlidersHorizontal, spinner: LoaderCircle, stop: Square, sun: Sun, terminal: Terminal,
  undo: Undo2, up: ChevronUp, updown: ChevronsUpDown, user: User, users: Users, verified: ShieldCheck, warn: CircleAlert,
} satisfies Record<string, LucideIcon>;

export type IconName = keyof typeof SET;
export const iconNames = Object.keys(SET) as IconName[];

/** A picture without meaning of its own: what it stands for is said in words beside it or on its button. */
export function Icon({ name, size = 15, className }: { name: string; size?: number; className?: string }) {
  const Drawn = name in SET ? SET[name as IconName] : Box;
  return <Drawn size={size} strokeWidth={1.75} aria-hidden className={cx("shrink-0", className)} />;
}
