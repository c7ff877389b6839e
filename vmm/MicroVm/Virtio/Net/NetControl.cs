using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Net;

/// <summary>The control queue (Virtio 1.2, 5.1.6.5). What a command says is copied and checked whole before anything changes; an answer that does not fit breaks the queue.</summary>
/// <param name="features">Features agreed on.</param>
/// <param name="setAddress">Takes another address; false if it must not change.</param>
/// <param name="setOffloads">Takes other receive offloads, as feature bits; false if the host refuses.</param>
/// <param name="setPairs">Takes another number of pairs of queues in use; false if there are not so many.</param>
internal sealed class NetControl(ulong features, Func<MacAddress, bool> setAddress, Func<ulong, bool> setOffloads, Func<int, bool> setPairs) : IChainHandler
{
    private const VirtioNetFeatures Offloads = VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.GuestTso4 | VirtioNetFeatures.GuestTso6 | VirtioNetFeatures.GuestEcn
        | VirtioNetFeatures.GuestUso4 | VirtioNetFeatures.GuestUso6;

    /// <summary>The features that say what the driver can receive.</summary>
    internal static ulong OffloadMask => (ulong)Offloads;

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        if (!chain.Writable.TryTakeLastByte(out HostRange answer)) return false;
        VirtioNetCommand command = default;
        bool ok = chain.Readable.TryTake(MemoryMarshal.AsBytes(new Span<VirtioNetCommand>(ref command))) && Perform(command, ref chain.Readable);
        answer.Store(0, (byte)(ok ? VirtioNetAck.Ok : VirtioNetAck.Error));
        written = 1;
        return true;
    }

    private bool Perform(in VirtioNetCommand command, ref Segments data) => (VirtioNetClass)command.Class switch
    {
        // The tap gives all that is for this machine and more; a driver filters anyway.
        VirtioNetClass.Rx => Has(VirtioNetFeatures.CtrlRx) && command.Command <= VirtioNetConst.RxModes && data.Length == 1,
        VirtioNetClass.Mac when command.Command == (byte)VirtioNetMacCommand.TableSet => Has(VirtioNetFeatures.CtrlRx) && IsTable(ref data) && IsTable(ref data) && data.Length == 0,
        VirtioNetClass.Mac when command.Command == (byte)VirtioNetMacCommand.AddressSet => Has(VirtioNetFeatures.CtrlMacAddress) && SetAddress(ref data),
        VirtioNetClass.MultiQueue when command.Command == VirtioNetConst.PairsSet => Has(VirtioNetFeatures.MultiQueue) && SetPairs(ref data),
        VirtioNetClass.GuestOffloads when command.Command == VirtioNetConst.OffloadsSet => Has(VirtioNetFeatures.CtrlGuestOffloads) && SetOffloads(ref data),
        _ => false,
    };

    // A count and that many addresses, which nobody keeps; the count is the guest's and may be anything.
    private static bool IsTable(ref Segments data)
    {
        uint entries = 0;
        if (!data.TryTake(MemoryMarshal.AsBytes(new Span<uint>(ref entries)))) return false;
        ulong bytes = (ulong)entries * VirtioNetConst.AddressLength;
        if (bytes > data.Length) return false;
        Span<byte> address = stackalloc byte[(int)VirtioNetConst.AddressLength];
        for (; entries != 0; entries--) data.TryTake(address);
        return true;
    }

    private bool SetAddress(ref Segments data)
    {
        Span<byte> bytes = stackalloc byte[(int)VirtioNetConst.AddressLength];
        if (data.Length != bytes.Length || !data.TryTake(bytes)) return false;
        MacAddress mac = MacAddress.From(bytes);
        return mac.IsUnicast && setAddress(mac);
    }

    private bool SetPairs(ref Segments data)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ushort)];
        return data.Length == bytes.Length && data.TryTake(bytes) && setPairs(BinaryPrimitives.ReadUInt16LittleEndian(bytes));
    }

    private bool SetOffloads(ref Segments data)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        if (data.Length != bytes.Length || !data.TryTake(bytes)) return false;
        ulong wanted = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        return (wanted & ~(features & OffloadMask)) == 0 && setOffloads(wanted);
    }

    private bool Has(VirtioNetFeatures feature) => (features & (ulong)feature) != 0;
}
