using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Mem;

/// <summary>Serves the requests of a memory device one after the other (Virtio 1.2, 5.15.6). Each is copied and checked whole before a block changes.</summary>
/// <param name="blocks">The region.</param>
/// <param name="config">What should be plugged.</param>
/// <param name="transport">Where the guest's mistakes are reported.</param>
internal sealed class MemRequests(PluggedBlocks blocks, VirtioMemConfig config, IVirtioTransport transport) : IChainHandler
{
    private static readonly int s_answerBytes = Unsafe.SizeOf<VirtioMemResponse>();

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        VirtioMemRequest request = default;
        if (chain.Writable.Length < s_answerBytes) return false;
        VirtioMemState state = 0;
        bool whole = chain.Readable.TryTake(MemoryMarshal.AsBytes(new Span<VirtioMemRequest>(ref request)));
        VirtioMemAnswer answer = whole ? Perform(request, out state) : VirtioMemAnswer.Error;
        if (answer == VirtioMemAnswer.Error) transport.GuestError("asks for blocks that cannot be, at", "address", request.Addr);
        VirtioMemResponse response = new() { Type = (ushort)answer, State = (ushort)state };
        // What the driver reads of its configuration next agrees with the answer.
        transport.ConfigRefreshed();
        written = chain.Writable.Fill(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioMemResponse>(in response)));
        return true;
    }

    private VirtioMemAnswer Perform(in VirtioMemRequest request, out VirtioMemState state)
    {
        state = 0;
        uint count = request.Blocks;
        VirtioMemRequestType type = (VirtioMemRequestType)request.Type;
        if (type == VirtioMemRequestType.UnplugAll) return Unplug(0, null);
        if (type > VirtioMemRequestType.State || !blocks.TryFind(request.Addr, count, out int first)) return VirtioMemAnswer.Error;
        int plugged = blocks.Count(first, count);
        switch (type)
        {
            case VirtioMemRequestType.Plug: return plugged == 0 ? Plug(first, count) : VirtioMemAnswer.Error;
            case VirtioMemRequestType.Unplug:
                return plugged == count ? Unplug(first, count) : VirtioMemAnswer.Error;
            default:
                state = plugged == count ? VirtioMemState.Plugged : plugged == 0 ? VirtioMemState.Unplugged : VirtioMemState.Mixed;
                return VirtioMemAnswer.Ack;
        }
    }

    // Whatever the host refused to whoever follows the guest's memory, the guest has it no more.
    private VirtioMemAnswer Unplug(int first, uint? count)
    {
        try
        {
            if (count is { } some) blocks.Unplug(first, some);
            else blocks.UnplugAll();
        }
        catch (MicroVmException e)
        {
            transport.HostRefused($"took memory away, but {e.Message}");
        }
        return VirtioMemAnswer.Ack;
    }

    private VirtioMemAnswer Plug(int first, uint count)
    {
        if (blocks.PluggedBytes + count * blocks.BlockBytes > config.Requested) return VirtioMemAnswer.Nack;
        try
        {
            blocks.Plug(first, count);
            return VirtioMemAnswer.Ack;
        }
        catch (MicroVmException)
        {
            // The guest tries again later.
            return VirtioMemAnswer.Busy;
        }
    }
}
