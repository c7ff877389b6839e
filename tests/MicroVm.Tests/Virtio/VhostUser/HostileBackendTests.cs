using MicroVm.Devices;
using MicroVm.Virtio.VhostUser;
using Xunit;

namespace MicroVm.Tests.Virtio.VhostUser;

/// <summary>Backends that break the protocol: each gives a named error in time, and leaves no descriptor behind.</summary>
public sealed class HostileBackendTests
{
    [Theory]
    [InlineData(VhostUserRequest.GetFeatures, "Silence", "does not answer GetFeatures")]
    [InlineData(VhostUserRequest.GetFeatures, "Close", "closed the connection")]
    [InlineData(VhostUserRequest.GetFeatures, "WrongRequest", "answers GetFeatures with something else (request 99")]
    [InlineData(VhostUserRequest.GetFeatures, "NoReplyFlag", "answers GetFeatures with something else")]
    [InlineData(VhostUserRequest.GetFeatures, "ShortSize", "answers GetFeatures with 7 bytes, not 8")]
    [InlineData(VhostUserRequest.GetFeatures, "HugeSize", "answers GetFeatures with 4294967295 bytes, not 8")]
    [InlineData(VhostUserRequest.GetFeatures, "HalfHeader", "does not answer GetFeatures")]
    [InlineData(VhostUserRequest.GetProtocolFeatures, "Silence", "does not answer GetProtocolFeatures")]
    [InlineData(VhostUserRequest.GetProtocolFeatures, "TwiceTheAnswer", "answers SetProtocolFeatures with something else", true)]
    [InlineData(VhostUserRequest.SetBackendSocket, "Refuse", "refuses SetBackendSocket (1)")]
    [InlineData(VhostUserRequest.GetConfig, "ShortSize", "answers GetConfig with 71 bytes, not 72")]
    [InlineData(VhostUserRequest.GetConfig, "Close", "closed the connection")]
    public void Opening_fails_with_a_name(VhostUserRequest at, string manner, string expected, bool later = false)
    {
        using TestBackend backend = new() { Manners = r => r == at ? Enum.Parse<Manner>(manner) : Manner.Answer };
        MicroVmException e = Assert.Throws<MicroVmException>(() => new VhostUserGuest(backend, disk: true).Dispose());
        if (!later) Assert.Contains($"it {expected}", e.Message, StringComparison.Ordinal);
        Assert.Equal(FailureKind.Host, e.Kind);
    }

    [Theory]
    [InlineData(VhostUserRequest.SetMemTable, "Silence", "does not answer SetMemTable")]
    [InlineData(VhostUserRequest.SetFeatures, "Refuse", "refuses SetFeatures")]
    [InlineData(VhostUserRequest.SetVringKick, "Close", "closed the connection")]
    [InlineData(VhostUserRequest.SetVringEnable, "HugeSize", "answers SetVringEnable with 4294967295 bytes")]
    public void Activation_goes_on_without_the_guest_and_the_reset_returns(VhostUserRequest at, string manner, string expected)
    {
        using TestBackend backend = new() { Manners = r => r == at ? Enum.Parse<Manner>(manner) : Manner.Answer };
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Says(expected));
        Assert.Equal(GuestDriver.Ready, guest.Driver.Status);
        guest.Driver.Reset();
        Assert.Equal(0u, guest.Driver.Status);
    }

    [Fact]
    public void Reset_cuts_off_a_backend_that_does_not_stop()
    {
        using TestBackend backend = new() { Manners = static r => r == VhostUserRequest.GetVringBase ? Manner.Silence : Manner.Answer };
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        guest.Driver.Reset();
        Assert.True(guest.Says("does not answer GetVringBase"));
        Assert.True(GuestDriver.Eventually(() => backend.Connections == 2));
    }

    [Fact]
    public void Unasked_words_and_requests_end_the_session()
    {
        using TestBackend backend = new();
        using VhostUserGuest guest = new(backend, disk: true);
        Assert.True(guest.Transact(0));
        backend.SayUnasked();
        Assert.True(guest.Says("says what nobody asked for"));
        Assert.True(guest.Transact(1));
        backend.AskConfigChanged(request: 3);
        Assert.True(guest.Says("asks for what was not agreed (request 3, 0 bytes)"));
        Assert.True(guest.Transact(2));
        backend.AskConfigChanged(size: 1u << 30);
        Assert.True(guest.Says("1073741824 bytes"));
        Assert.True(guest.Transact(3));
    }

    [Fact]
    public void Queue_that_the_backend_finds_broken_asks_for_a_reset()
    {
        using TestBackend backend = new();
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        backend.SignalError(1);
        Assert.True(guest.Driver.WaitForReset());
        Assert.Equal(1, guest.Driver.Errors.Count);
    }

    [Fact]
    public void Memory_of_the_guest_cannot_be_cut_by_a_backend()
    {
        using MicroVm.Memory.GuestMemory memory = MicroVm.Memory.GuestMemory.Allocate(4 << 20, 0xc000_0000, 0x1_0000_0000, shared: true);
        (int file, _) = memory.FileOf(memory.Regions[0]);
        Assert.NotEqual(0, MicroVm.Kvm.Libc.ftruncate(file, 4096));
        Assert.NotEqual(0, MicroVm.Kvm.Libc.ftruncate(file, 1L << 40));
    }
}
