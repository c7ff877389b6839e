using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>Request numbers, capabilities and exit reasons of <c>linux/kvm.h</c>.</summary>
internal static class KvmAbi
{
    internal const int ApiVersion = 12;

    internal const nuint GetApiVersion = 0xae00, CreateVm = 0xae01, CheckExtension = 0xae03, GetVcpuMmapSize = 0xae04, GetSupportedCpuid = 0xc008ae05;
    internal const nuint CreateVcpu = 0xae41, SetUserMemoryRegion = 0x4020ae46, SetTssAddress = 0xae47, SetIdentityMapAddress = 0x4008ae48;
    internal const nuint EnableCap = 0x4068aea3, IrqFd = 0x4020ae76, IoEventFd = 0x4040ae79, SetGsiRouting = 0x4008ae6a;
    internal const nuint CreateDevice = 0xc00caee0, SetDeviceAttribute = 0x4018aee1;

    /// <summary>The device that is told of files of VFIO, its only group of attributes, and what they do.</summary>
    internal const uint DeviceVfio = 4, VfioFile = 1, VfioFileAdd = 1, VfioFileRemove = 2;
    // The local APIC's registers, a page of which KVM copies a quarter.
    internal const int LapicSize = 0x400;

    internal const nuint Run = 0xae80, GetRegs = 0x8090ae81, SetRegs = 0x4090ae82, GetSregs = 0x8138ae83, SetSregs = 0x4138ae84, SetCpuid2 = 0x4008ae90, SetMsrs = 0x4008ae89, SetMpState = 0x4004ae99, GetLapic = 0x8400ae8e,
        SetLapic = 0x4400ae8f, KvmClockControl = 0xaead, Translate = 0xc018ae85;

    internal const int CapNrMemslots = 0xa, CapMaxVcpus = 0x42, CapIrqFd = 0x20, CapIoEventFd = 0x24, CapReadonlyMemory = 0x51, CapTscDeadlineTimer = 0x48;
    internal const int CapSplitIrqchip = 0x79, CapX2ApicApi = 0x81, CapImmediateExit = 0x88, CapIoEventFdAnyLength = 0x7a, CapIrqFdResample = 0x52;

    internal const uint MemoryReadOnly = 2;
    internal const uint IrqFdDeassign = 1;
    internal const uint IoEventFdDatamatch = 1, IoEventFdPio = 2, IoEventFdDeassign = 4;
    internal const uint RoutingMsi = 2;
    internal const uint CpuidSignificantIndex = 1;
    /// <summary>State of a processor after power-on: it waits for its start-up message.</summary>
    internal const uint MpStateUninitialized = 1;

    /// <summary>The internal error of an instruction that KVM cannot emulate.</summary>
    internal const uint NoEmulation = 1;

    /// <summary>Why <c>KVM_RUN</c> returned.</summary>
    internal enum ExitReason : uint
    {
        Unknown = 0, Exception = 1, Io = 2, Hypercall = 3, Debug = 4, Hlt = 5, Mmio = 6, IrqWindowOpen = 7, Shutdown = 8, FailEntry = 9, Intr = 10,
        InternalError = 17, SystemEvent = 24, IoApicEoi = 26, MemoryFault = 39,
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct UserMemoryRegion
    {
        internal uint Slot, Flags;
        internal ulong GuestAddress, Size, HostAddress;
    }

    [StructLayout(LayoutKind.Explicit, Size = 104)]
    internal struct Capability
    {
        [FieldOffset(0)] internal uint Cap;
        [FieldOffset(4)] internal uint Flags;
        [FieldOffset(8)] internal ulong Argument0;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NewDevice
    {
        internal uint Type;
        internal int Fd;
        internal uint Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DeviceAttribute
    {
        internal uint Flags, Group;
        internal ulong Attribute, Address;
    }

    [StructLayout(LayoutKind.Explicit, Size = 32)]
    internal struct IrqFdRequest
    {
        [FieldOffset(0)] internal uint Fd;
        [FieldOffset(4)] internal uint Gsi;
        [FieldOffset(8)] internal uint Flags;
    }

    [StructLayout(LayoutKind.Explicit, Size = 64)]
    internal struct IoEventFdRequest
    {
        [FieldOffset(0)] internal ulong Datamatch;
        [FieldOffset(8)] internal ulong Address;
        [FieldOffset(16)] internal uint Length;
        [FieldOffset(20)] internal int Fd;
        [FieldOffset(24)] internal uint Flags;
    }

    [StructLayout(LayoutKind.Explicit, Size = 48)]
    internal struct RoutingEntry
    {
        [FieldOffset(0)] internal uint Gsi;
        [FieldOffset(4)] internal uint Type;
        [FieldOffset(16)] internal uint AddressLow;
        [FieldOffset(20)] internal uint AddressHigh;
        [FieldOffset(24)] internal uint Data;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct CpuidEntry
    {
        internal uint Function, Index, Flags, Eax, Ebx, Ecx, Edx, Pad0, Pad1, Pad2;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct MsrEntry
    {
        internal uint Index, Reserved;
        internal ulong Data;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct Registers
    {
        internal ulong Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rsp, Rbp, R8, R9, R10, R11, R12, R13, R14, R15, Rip, Rflags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct Segment
    {
        internal ulong Base;
        internal uint Limit;
        internal ushort Selector;
        internal byte Type, Present, Dpl, Db, S, L, G, Avl, Unusable, Padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DescriptorTable
    {
        internal ulong Base;
        internal ushort Limit, Pad0, Pad1, Pad2;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct SystemRegisters
    {
        internal Segment Cs, Ds, Es, Fs, Gs, Ss, Tr, Ldt;
        internal DescriptorTable Gdt, Idt;
        internal ulong Cr0, Cr2, Cr3, Cr4, Cr8, Efer, ApicBase;
        internal fixed ulong InterruptBitmap[4];
    }

    [StructLayout(LayoutKind.Explicit, Size = 24)]
    internal struct Translation
    {
        [FieldOffset(0)] internal ulong LinearAddress;
        [FieldOffset(8)] internal ulong PhysicalAddress;
        [FieldOffset(16)] internal byte Valid;
    }
}
