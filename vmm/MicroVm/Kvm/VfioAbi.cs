using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>Request numbers and structures of <c>linux/vfio.h</c>.</summary>
internal static class VfioAbi
{
    internal const int ApiVersion = 0;
    internal const int Type1v2Iommu = 3;

    internal const nuint GetApiVersion = 0x3b64, CheckExtension = 0x3b65, SetIommu = 0x3b66, GroupGetStatus = 0x3b67, GroupSetContainer = 0x3b68, GroupGetDeviceFd = 0x3b6a;
    internal const nuint DeviceGetInfo = 0x3b6b, DeviceGetRegionInfo = 0x3b6c, DeviceGetIrqInfo = 0x3b6d, DeviceSetIrqs = 0x3b6e, DeviceReset = 0x3b6f;
    internal const nuint IommuGetInfo = 0x3b70, IommuMapDma = 0x3b71, IommuUnmapDma = 0x3b72;
    internal const nuint DeviceBindIommufd = 0x3b76, DeviceAttachIommufdPt = 0x3b77, DeviceDetachIommufdPt = 0x3b78;

    internal const uint GroupViable = 1;
    internal const uint DeviceCanReset = 1, DeviceIsPci = 2;
    internal const uint RegionRead = 1, RegionWrite = 2, RegionMmap = 4, RegionCaps = 8;
    internal const ushort RegionCapSparseMmap = 1;
    internal const uint IrqNoResize = 8;
    internal const uint IommuInfoCaps = 2;
    internal const ushort IommuCapRanges = 1;
    internal const uint DmaRead = 1, DmaWrite = 2;
    internal const uint DataNone = 1, DataEventFd = 4, ActionMask = 8, ActionUnmask = 0x10, ActionTrigger = 0x20;

    /// <summary>Regions of a PCI device: its BARs are 0 to 5.</summary>
    internal const uint ConfigRegion = 7;

    /// <summary>Kinds of interrupt of a PCI device.</summary>
    internal enum IrqIndex : uint
    {
        Intx = 0, Msi = 1, Msix = 2, Error = 3, Request = 4,
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct GroupStatus
    {
        internal uint Size, Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DeviceInfo
    {
        internal uint Size, Flags, Regions, Irqs, CapOffset, Padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct RegionInfo
    {
        internal uint Size, Flags, Index, CapOffset;
        internal ulong Length, Offset;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct IrqInfo
    {
        internal uint Size, Flags, Index, Count;
    }

    /// <summary>Followed by as many descriptors as <c>Count</c> says.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct IrqSet
    {
        internal uint Size, Flags, Index, Start, Count;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct BindIommufd
    {
        internal uint Size, Flags;
        internal int Iommufd;
        internal uint DeviceId;
    }

    /// <summary><c>Target</c>: id of an I/O address space.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct AttachIommufd
    {
        internal uint Size, Flags, Target;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DetachIommufd
    {
        internal uint Size, Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DmaMap
    {
        internal uint Size, Flags;
        internal ulong HostAddress, Iova, Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DmaUnmap
    {
        internal uint Size, Flags;
        internal ulong Iova, Length;
    }

    /// <summary>Followed by a chain of capabilities, as far as there is room.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct IommuInfo
    {
        internal uint Size, Flags;
        internal ulong PageSizes;
        internal uint CapOffset, Padding;
    }

    /// <summary>Head of each entry in the chain behind a region's description.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct CapHeader
    {
        internal ushort Id, Version;
        internal uint Next;
    }
}
